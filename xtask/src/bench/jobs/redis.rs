//! A Redis server of a case's own, on loopback. It keeps nothing on a disk: neither side is to wait for one.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::stage::Stage;
use crate::bench::machine::output;
use crate::bench::report::note;
use crate::bench::stage::{free_port, wait_for};

/// A server. It ends with this value.
pub(super) struct Server {
    child: Child,
    port: String,
    pub(super) url: String,
}

impl Server {
    pub(super) fn start(stage: &Stage<'_>) -> Result<Server, String> {
        Server::of(stage, Path::new("redis-server"))
    }

    /// Starts this program.
    pub(super) fn of(stage: &Stage<'_>, program: &Path) -> Result<Server, String> {
        let port = free_port()?;
        let text = port.to_string();
        let child = Command::new(program)
            .args(["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&stage.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", program.display()))?;
        let server = Server { child, url: format!("redis://127.0.0.1:{text}/0"), port: text };
        wait_for(port, Duration::from_secs(10))?;
        Ok(server)
    }

    /// Says something to it by `redis-cli`.
    pub(super) fn say(&self, words: &[&str]) -> Result<String, String> {
        let mut args = vec!["-p", self.port.as_str()];
        args.extend_from_slice(words);
        output("redis-cli", &args).map(|said| said.trim().to_owned())
    }

    /// Forgets everything.
    pub(super) fn empty(&self) -> Result<(), String> {
        self.say(&["FLUSHALL"]).map(drop)
    }

    /// A number that it answers.
    pub(super) fn number(&self, words: &[&str]) -> Result<u64, String> {
        let said = self.say(words)?;
        said.parse().map_err(|_| format!("`{}` is answered with `{said}`", words.join(" ")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            note(&format!("redis-server {} does not end: {error}", self.child.id()));
        }
    }
}
