//! Installs, upgrades, removes and purges the package, in a folder that stands for a machine.
//!
//! `dpkg` runs the scripts of the package outside of a chroot and tells them the folder (`DPKG_ROOT`), so that
//! nothing of this machine is touched; what systemd would do is left out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{anew, collect, failed, package, write};
use crate::Outcome;
use crate::steps::output;

/// Lower than every version of ours.
const OLDER: &str = "0.0.1~older";
/// Packed for nobody.
const QUICK: &str = "-Znone";
const CONFIG: &str = "etc/forebay/forebay.toml";
const OWN: &str = "# the operator's own\n";

/// Makes the package of this binary, and lives its life. Says what was seen; without `dpkg` nothing is.
pub(crate) fn prove(binary: &Path, folder: &Path) -> Result<String, String> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return Ok("not done: no dpkg here".into());
    }
    let ready = collect(binary, &folder.join("files"))?;
    let older = package::build(&ready, OLDER, QUICK)?;
    let newer = package::build(&ready, &ready.version, QUICK)?;
    let again = fs::read(&newer).map_err(failed("read", &newer))?;
    package::build(&ready, &ready.version, QUICK)?;
    let same = fs::read(&newer).map_err(failed("read", &newer))? == again;
    expect(same, "the same files make the same package")?;

    let machine = Machine::new(&folder.join("machine"))?;
    machine.dpkg(&["--install", &text(&older)])?;
    machine.expect_version(OLDER)?;
    let unit = "usr/lib/systemd/system/forebay.service";
    for (file, mode) in
        [("usr/bin/forebay", 0o755), (CONFIG, 0o644), ("etc/forebay", 0o750), (unit, 0o644)]
    {
        let found = fs::metadata(machine.path(file)).map_err(failed("find", file))?;
        expect(found.permissions().mode() & 0o7777 == mode, &format!("{file} has mode {mode:o}"))?;
    }
    let users = fs::read_to_string(machine.path("etc/passwd")).unwrap_or_default();
    expect(users.contains("forebay:x:"), "there is a user for it")?;
    let installed = machine.path("usr/bin/forebay");
    output(Command::new(&installed).args(["check", "--config"]).arg(machine.path(CONFIG)))?;
    verify_unit(&machine.path(unit), &installed)?;

    // What the operator wrote survives an upgrade, a removal, and is gone when all shall be gone.
    let config = fs::read_to_string(machine.path(CONFIG)).map_err(failed("read", CONFIG))?;
    write(&machine.path(CONFIG), &format!("{config}{OWN}"))?;
    let state = machine.path("var/lib/forebay");
    fs::create_dir_all(&state).map_err(failed("make", &state))?;
    machine.dpkg(&["--install", &text(&newer)])?;
    machine.expect_version(&ready.version)?;
    let kept = || fs::read_to_string(machine.path(CONFIG)).is_ok_and(|now| now.ends_with(OWN));
    expect(kept(), "an upgrade keeps the operator's settings")?;
    let altered = machine.dpkg(&["--verify", "forebay"])?;
    let only_config = altered.lines().all(|line| line.ends_with(CONFIG));
    expect(only_config, &format!("nothing else is altered:\n{altered}"))?;
    machine.dpkg(&["--remove", "forebay"])?;
    expect(!installed.exists(), "a removal takes the binary")?;
    expect(kept() && state.exists(), "a removal leaves settings and state")?;
    machine.dpkg(&["--purge", "forebay"])?;
    expect(!machine.path("etc/forebay").exists(), "a purge takes the settings")?;
    expect(!state.exists(), "a purge takes the state")?;
    Ok(format!("{OLDER} installed, {} over it, removed, purged", ready.version))
}

/// The unit means something to systemd, and gives little away.
fn verify_unit(unit: &Path, installed: &Path) -> Outcome {
    let analyze = || Command::new("systemd-analyze");
    if analyze().arg("--version").output().is_err() {
        return Ok(());
    }
    // The program lies elsewhere in this test.
    let words = fs::read_to_string(unit).map_err(failed("read", unit))?;
    let copy = unit.with_file_name("forebay-test.service");
    write(
        &copy,
        &words
            .replace("/usr/bin/forebay", &text(installed))
            .replace("man:forebay(1)", "https://localhost"),
    )?;
    let verified = output(analyze().args(["verify", "--man=no"]).arg(&copy));
    let verified = verified.and_then(|_| {
        // 20 is an exposure of 2.0 of 10.
        let exposed = ["security", "--offline=true", "--threshold=20", "--no-pager"];
        output(analyze().args(exposed).arg(&copy))
    });
    fs::remove_file(&copy).map_err(failed("remove", &copy))?;
    verified.map(drop)
}

/// A folder that `dpkg` takes for a machine.
struct Machine(PathBuf);

impl Machine {
    fn new(folder: &Path) -> Result<Machine, String> {
        anew(folder)?;
        for name in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"] {
            let name = folder.join(name);
            fs::create_dir_all(&name).map_err(failed("make", &name))?;
        }
        write(&folder.join("var/lib/dpkg/status"), "")?;
        Ok(Machine(folder.to_owned()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn dpkg(&self, words: &[&str]) -> Result<String, String> {
        let root = format!("--root={}", self.0.display());
        let mut command = Command::new(if is_root() { "dpkg" } else { "fakeroot" });
        if !is_root() {
            command.arg("dpkg");
        }
        // The libraries that it needs are this machine's.
        let chrootless = ["--force-script-chrootless", "--force-depends", "--no-triggers"];
        command.env("DEBIAN_FRONTEND", "noninteractive").arg(root).args(chrootless);
        let said = command.args(words).output().map_err(|error| error.to_string())?;
        let out = String::from_utf8_lossy(&said.stdout).into_owned();
        // `--verify` ends with 1 when something differs, and says what.
        if said.status.success() || words.first() == Some(&"--verify") {
            return Ok(out);
        }
        let why = String::from_utf8_lossy(&said.stderr);
        Err(format!("dpkg {}: {}\n{out}{why}", words.join(" "), said.status))
    }

    fn expect_version(&self, version: &str) -> Outcome {
        let status = fs::read_to_string(self.path("var/lib/dpkg/status")).unwrap_or_default();
        let wanted = format!("Version: {version}\n");
        let is_installed =
            status.contains("Status: install ok installed\n") && status.contains(&wanted);
        expect(is_installed, &format!("{version} is installed:\n{status}"))
    }
}

fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output();
    asked.is_ok_and(|said| said.stdout.trim_ascii() == b"0")
}

fn expect(is_so: bool, what: &str) -> Outcome {
    if is_so { Ok(()) } else { Err(format!("the package is not as it should be: {what}")) }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
