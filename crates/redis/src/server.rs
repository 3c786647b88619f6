//! A real server for tests and benchmarks, in a folder that goes with it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;
use tempfile::TempDir;

use crate::connect::{Settings, Target};

/// Longest time that a server takes to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that listens on a socket of its folder. It ends with this value.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    program: PathBuf,
    options: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts `redis-server` with these options, as `["--maxmemory", "10mb"]`.
    ///
    /// # Panics
    /// There is no such program, or it does not come up: a test cannot go on.
    pub fn start(options: &[&str]) -> Server {
        Server::of(Path::new("redis-server"), options)
    }

    /// Starts this program.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn of(program: &Path, options: &[&str]) -> Server {
        let folder = tempfile::Builder::new().prefix("redis").tempdir().expect("a folder is made");
        let mut server = Server {
            folder,
            program: program.to_owned(),
            options: options.iter().map(|it| (*it).to_owned()).collect(),
            child: None,
        };
        server.revive(&[]);
        server
    }

    /// Starts it again, on what it left on its disk, with further options.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn revive(&mut self, further: &[&str]) {
        self.kill();
        let mut command = Command::new(&self.program);
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(self.socket());
        command.arg("--dir").arg(self.folder.path()).args(&self.options).args(further);
        let program = self.program.display();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child =
            Some(child.unwrap_or_else(|error| panic!("cannot start `{program}`: {error}")));
        let began = clock::now();
        while !self.answers() {
            assert!(clock::now() - began < PATIENCE, "`{program}` does not come up");
            clock::block_for(Duration::from_millis(5));
        }
    }

    /// Ends it as a power cut of the process would: nothing is written any more.
    ///
    /// # Panics
    /// It cannot be waited for.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// How it is reached, with short waits.
    ///
    /// # Panics
    /// Its folder is no part of a URL.
    pub fn settings(&self) -> Settings {
        let url = format!("unix://{}", self.socket().display());
        Settings {
            target: Target::parse(&url).expect("a path is a URL"),
            reconnect_delay: Duration::from_millis(20),
            reconnect_delay_max: Duration::from_millis(100),
            ..Settings::default()
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// True if it answers; one that loads its data does as well, and says so.
    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        let mut answer = [0; 1];
        stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
            && stream.write_all(b"PING\r\n").is_ok()
            && stream.read_exact(&mut answer).is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
