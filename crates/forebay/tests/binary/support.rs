//! Starts the executable and a small origin, and talks to both over real sockets.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(30);

/// The executable, with nothing of the caller's environment that it would read.
pub(crate) fn forebay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    for (name, _) in std::env::vars_os() {
        let name_of = name.to_string_lossy();
        let is_read = ["FOREBAY_", "OTEL_", "REDIS_", "RAILS_MAX_THREADS"];
        if is_read.iter().any(|it| name_of.starts_with(it)) {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// What one run of it came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) data: String,
    pub(crate) talk: String,
}

pub(crate) fn outcome(args: &[&str]) -> Outcome {
    let output = forebay(args).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), data: text(&output.stdout), talk: text(&output.stderr) }
}

/// A running `forebay run`; killed when it is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) port: u16,
    pub(crate) admin: String,
    pub(crate) folder: TempDir,
    /// What it said before it served.
    pub(crate) said: String,
}

/// Of file descriptors.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) soft: u32,
    pub(crate) hard: u32,
}

impl Running {
    /// In front of `origin`, by flags alone.
    pub(crate) fn before(origin: &Origin) -> Running {
        let url = origin.url();
        Running::start(&["--origin", &url, "--log", "off"])
    }

    /// With these further flags; addresses are read from what it says.
    pub(crate) fn start(flags: &[&str]) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        Running::start_in(folder, flags, &[])
    }

    /// With a config file that listens on a free port.
    pub(crate) fn with_config(config: &str) -> Running {
        Running::with_config_and(config, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn with_config_and(config: &str, variables: &[(&str, &str)]) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("forebay.toml");
        fs::write(&file, config).expect("written");
        Running::spawn(folder, &["--config", &file.to_string_lossy()], &[], variables)
    }

    pub(crate) fn start_in(folder: TempDir, flags: &[&str], command: &[&str]) -> Running {
        Running::spawn(folder, flags, command, &[])
    }

    fn spawn(
        folder: TempDir,
        flags: &[&str],
        command: &[&str],
        variables: &[(&str, &str)],
    ) -> Running {
        let mut args = vec!["run", "--cores", "1"];
        let file = fs::read_to_string(folder.path().join("forebay.toml")).unwrap_or_default();
        if !file.contains("[admin]") {
            args.extend(["--admin", "127.0.0.1:0"]);
        }
        if !flags.contains(&"--config") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        args.extend(flags);
        if !command.is_empty() {
            args.push("--");
            args.extend(command);
        }
        let mut command = forebay(&args);
        command.envs(variables.iter().copied());
        Running::started(folder, command)
    }

    /// Under limits of file descriptors.
    pub(crate) fn start_limited(folder: TempDir, flags: &[&str], limits: Limits) -> Running {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={}:{}", limits.soft, limits.hard));
        command.arg(env!("CARGO_BIN_EXE_forebay")).stdin(Stdio::null());
        command.args(["run", "--cores", "1", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
        command.args(flags);
        Running::started(folder, command)
    }

    /// By a command of one's own that names the addresses as flags do.
    pub(crate) fn started(folder: TempDir, mut command: Command) -> Running {
        let mut process = command
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped"));
        let (mut said, mut port) = (String::new(), None);
        let admin = loop {
            let mut line = String::new();
            let count = lines.read_line(&mut line).expect("text");
            assert!(count > 0, "it ended before it served:\n{said}");
            said.push_str(&line);
            if let Some((_, address)) = line.trim_end().split_once("serving http://127.0.0.1:") {
                port = address.parse().ok();
            }
            if let Some((_, rest)) = line.split_once("operators ask at ") {
                break rest.split(',').next().unwrap_or_default().to_owned();
            }
        };
        // Whatever it says later must not fill the pipe.
        let mut later = fs::File::create(folder.path().join("stderr")).expect("a file");
        std::thread::spawn(move || drop(std::io::copy(&mut lines, &mut later)));
        let port = port.unwrap_or_else(|| panic!("no address in:\n{said}"));
        Running { process, port, admin, folder, said }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn admin_port(&self) -> u16 {
        let port = self.admin.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("an address")
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.port, path)
    }

    /// A verb of operators against it.
    pub(crate) fn operate(&self, words: &[&str]) -> Outcome {
        let mut args = words.to_vec();
        args.extend(["--admin", &self.admin]);
        outcome(&args)
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> serde_json::Value {
        let status = self.operate(&["status", "--json"]);
        assert_eq!(status.code, Some(0), "{status:?}");
        serde_json::from_str(&status.data).expect("JSON")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        let process = &mut self.process;
        wait_for("its end", || process.try_wait().expect("ours"))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("ours").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Looks until there is something, with a deadline.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let tick = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(waited < PATIENCE, "waited in vain for {what}");
        let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
        // A pause that ends by its time: nobody sends.
        assert!(receiver.recv_timeout(tick).is_err());
        drop(sender);
        waited += tick;
    }
}

/// An origin that answers every GET with its path, storable for a minute; `/slow` after it is released.
pub(crate) struct Origin {
    port: u16,
    asked: Arc<AtomicUsize>,
    released: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (asked, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, gate) = (Arc::clone(&asked), Arc::clone(&released));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
                // A client that breaks off ends its own thread.
                std::thread::spawn(move || drop(answer(stream, &count, &gate)));
            }
        });
        Origin { port, asked, released }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests that it has heard.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Lets `/slow` answer.
    pub(crate) fn release(&self) {
        self.released.store(1, Ordering::SeqCst);
    }
}

fn answer(
    mut stream: TcpStream,
    asked: &AtomicUsize,
    released: &AtomicUsize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|it| it.parse().ok()).unwrap_or(0);
        std::io::copy(&mut lines.by_ref().take(length), &mut std::io::sink())?;
        asked.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if path == "/slow" {
            wait_for("the release", || (released.load(Ordering::SeqCst) > 0).then_some(()));
        }
        let mut reply = String::new();
        write!(
            reply,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: s-maxage=60\r\n\r\n{path}",
            path.len()
        )
        .expect("writing to a String does not fail");
        stream.write_all(reply.as_bytes())?;
    }
}

/// One request to the shop on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> String {
    ask(port, "shop.example", path)
}

/// One request to this host on a connection of its own.
pub(crate) fn ask(port: u16, host: &str, path: &str) -> String {
    send(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// One message on a connection of its own, and what comes until the end.
pub(crate) fn send(port: u16, message: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream.write_all(message.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A config that listens on a free port before an origin.
pub(crate) fn config(origin: &Origin, more: &str) -> String {
    format!(
        "[listen]\non = [\"127.0.0.1:0\"]\n\n[log]\nformat = \"off\"\n\n\
         [[origin]]\nname = \"app\"\nservers = [\"{}\"]\n\n{more}\n\
         [[route]]\nname = \"all\"\norigin = \"app\"\n",
        origin.url()
    )
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}
