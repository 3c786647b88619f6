//! The stage of one run: a folder that is removed at the end, a certificate, the built binaries
//! and the origin.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;

use super::machine::{Machine, output};
use super::options::Options;
use super::report::note;
use super::servers::Kind;

/// How the folders of runs are called; the number of the process follows.
const FOLDER: &str = "forebay-bench-";

/// What every case stands on.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) machine: Machine,
    pub(super) folder: PathBuf,
    pub(super) origin_port: u16,
    pub(super) forebay: PathBuf,
    pub(super) instruments: PathBuf,
    origin: Child,
}

impl Stage<'_> {
    /// Builds, writes and starts what the cases need.
    pub(super) fn set(options: &Options, machine: Machine) -> Result<Stage<'_>, String> {
        let built = built_folder()?;
        let instruments = built.join("bench-edge");
        build("forebay-bench-edge")?;
        let forebay = options.binary.clone().unwrap_or_else(|| built.join("forebay"));
        if options.subject == Kind::Forebay && options.binary.is_none() {
            build("forebay")?;
        }
        // On memory: neither nginx's cache nor H2O's files may measure a disk.
        let shared = Path::new("/dev/shm");
        let above = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        remove_left_behind(above.as_path());
        let folder = above.join(format!("{FOLDER}{}", std::process::id()));
        create(&folder)?;
        let origin_port = free_port()?;
        let origin = Command::new("taskset")
            .args(["-c", &machine.client_cores])
            .arg(&instruments)
            .args(["origin", "--port", &origin_port.to_string()])
            .spawn()
            .map_err(|error| format!("cannot start the origin: {error}"))?;
        let stage = Stage { options, machine, folder, origin_port, forebay, instruments, origin };
        stage.make_certificate()?;
        wait_for(origin_port, Duration::from_secs(10))?;
        Ok(stage)
    }

    /// How many requests the origin has seen.
    pub(super) fn origin_count(&self) -> Result<u64, String> {
        let (_, body) = get(self.origin_port, "/count")?;
        body.trim().parse().map_err(|_| format!("the origin's count is `{body}`"))
    }

    /// Writes a file into the folder and gives its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.folder.join(name);
        fs::write(&path, text)
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Starts one of the instruments on the clients' cores.
    pub(super) fn instrument(&self, args: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.machine.client_cores]).arg(&self.instruments).args(args);
        command
    }

    fn make_certificate(&self) -> Result<(), String> {
        let settings = "[req]\ndistinguished_name = name\nx509_extensions = leaf\nprompt = no\n\
            [name]\nCN = localhost\n[leaf]\nsubjectAltName = DNS:localhost, IP:127.0.0.1\n\
            basicConstraints = critical, CA:FALSE\n";
        let settings = self.write("certificate.cnf", settings)?;
        let (key, certificate) = (self.path("key.pem"), self.path("cert.pem"));
        output(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-config",
                &settings,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        )
        .map(drop)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        stop(&mut self.origin);
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            note(&format!("cannot remove `{}`: {error}", self.folder.display()));
        }
    }
}

/// Removes the folders of runs that were ended from outside: on `/dev/shm` they hold memory.
fn remove_left_behind(above: &Path) {
    let entries = fs::read_dir(above).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(FOLDER).filter(|pid| pid.parse::<u32>().is_ok()) else {
            continue;
        };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            note(&format!("cannot remove `{name}`: {error}"));
        }
    }
}

/// A folder that may be there already.
pub(super) fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make `{}`: {error}", folder.display()))
}

/// Asks the process to end, and after a while ends it: a server has children of its own to end.
pub(super) fn stop(child: &mut Child) {
    let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    let deadline = clock::now() + Duration::from_secs(if asked.is_ok() { 35 } else { 0 });
    while clock::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        clock::block_for(Duration::from_millis(20));
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        note(&format!("process {} does not end: {error}", child.id()));
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// Waits until somebody listens.
pub(super) fn wait_for(port: u16, patience: Duration) -> Result<(), String> {
    let deadline = clock::now() + patience;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if clock::now() > deadline {
            return Err(format!("nobody listens on port {port} after {patience:?}"));
        }
        clock::block_for(Duration::from_millis(20));
    }
    Ok(())
}

/// One plain request: status and body.
pub(super) fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut got = Vec::new();
        let mut part = vec![0; 65536];
        loop {
            let read = stream.read(&mut part)?;
            got.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&got).to_ascii_lowercase();
            let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.split("content-length: ").nth(1).unwrap_or_default();
                let digits = length.lines().next().unwrap_or_default().trim();
                digits.parse().is_ok_and(|length: usize| body.len() >= length)
            });
            if whole || read == 0 {
                return Ok(String::from_utf8_lossy(&got).into_owned());
            }
        }
    };
    let answer = exchange().map_err(|error| format!("no answer to `{path}`: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("broken answer to `{path}`"))?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    Ok((status, body.to_owned()))
}

/// Where builds for release are: beside this program's own folder, `target/debug`.
pub(super) fn built_folder() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("where is this program: {error}"))?;
    let target = own.ancestors().nth(2).ok_or("this program is not in a target folder")?;
    Ok(target.join("release"))
}

/// Builds a package of ours for release.
pub(super) fn build(package: &str) -> Result<(), String> {
    note(&format!("building {package} for release"));
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", package])
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{package}` does not build")) }
}
