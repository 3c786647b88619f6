//! The package on a machine that has booted: a container with its own systemd, and a script as its one job.
//!
//! `tests/machine/README.md` says what is tried there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::{anew, collect, failed, package};
use crate::cargo::root;
use crate::steps::output;

/// Lower than every version of ours.
const OLDER: &str = "0.0.1~older";
/// Packed for nobody.
const QUICK: &str = "-Znone";
const RELEASE: &str = "bookworm";
const PACKAGES: &str = "--include=systemd,systemd-sysv,dbus,curl,ca-certificates";
/// Longest life of the machine, in seconds.
const DEADLINE: &str = "300";
const MODE: u32 = 0o755;

/// Boots it and says what was seen; where the programs for that are missing, nothing is.
pub(crate) fn boot(binary: &Path, folder: &Path) -> Result<String, String> {
    for program in ["debootstrap", "systemd-nspawn"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Ok(format!("not done: no `{program}` here"));
        }
    }
    let tree = folder.join("debian");
    if !folder.join("made").exists() {
        anew(folder)?;
        output(
            Command::new("debootstrap").args(["--variant=minbase", PACKAGES, RELEASE]).arg(&tree),
        )?;
        fs::write(folder.join("made"), RELEASE).map_err(failed("write", folder))?;
    }
    let proof = folder.join("proof");
    anew(&proof)?;
    let ready = collect(binary, &folder.join("files"))?;
    for (name, version) in [("older.deb", OLDER), ("newer.deb", &ready.version)] {
        let deb = package::build(&ready, version, QUICK)?;
        fs::rename(&deb, proof.join(name)).map_err(failed("move", &deb))?;
    }
    job(&tree, &proof)?;
    // The tree stays as it is: what the machine writes is thrown away with it.
    let mut machine = Command::new("timeout");
    machine.args([DEADLINE, "systemd-nspawn", "--ephemeral", "--machine=forebay-proof"]);
    machine.args(["--register=no", "--keep-unit", "--private-network", "--console=pipe", "--boot"]);
    let bind = format!("--bind={}:/proof", proof.display());
    let said = output(machine.arg(bind).arg("--directory").arg(&tree))?;
    let result = fs::read_to_string(proof.join("result")).unwrap_or_default();
    if result.contains("FAILED") || !result.ends_with("END\n") {
        return Err(format!("{said}\n{result}"));
    }
    Ok(format!("{} laws", result.lines().filter(|line| line.starts_with("ok ")).count()))
}

/// What the machine does when it is up.
fn job(tree: &Path, proof: &Path) -> Result<(), String> {
    let script = proof.join("prove");
    fs::copy(root().join("tests/machine/prove"), &script).map_err(failed("copy", &script))?;
    let mode = fs::Permissions::from_mode(MODE);
    fs::set_permissions(&script, mode).map_err(failed("change", &script))?;
    let units = tree.join("etc/systemd/system");
    let unit = "prove.service";
    fs::copy(root().join("tests/machine").join(unit), units.join(unit))
        .map_err(failed("copy", unit))?;
    let wants = units.join("default.target.wants");
    fs::create_dir_all(&wants).map_err(failed("make", &wants))?;
    let link = wants.join(unit);
    if link.symlink_metadata().is_err() {
        symlink(format!("../{unit}"), &link).map_err(failed("link", &link))?;
    }
    Ok(())
}
