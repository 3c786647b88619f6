//! The servers of a run: each knows its configuration, none changes the system's.

mod forebay;
mod h2o;
mod nginx;
mod varnish;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;

use super::machine::{Cpu, memory_of_tree, output};
use super::stage::{Stage, free_port, get, stop, wait_for};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Forebay,
    /// A bare read/writev loop that answers canned bytes.
    Floor,
    /// Forebay's `listen` with a handler that answers canned bytes.
    Bare,
    /// `tcp_nopush off`, nginx's default: the better setting for large objects on loopback.
    Nginx,
    /// `tcp_nopush on`: the better setting for small ones.
    NginxNopush,
    Varnish,
    /// A static file server here: the speed of a protocol engine, not of a cache.
    H2o,
}

/// What clients speak to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

/// How a server is to be started.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) kind: Kind,
    pub(super) wire: Wire,
    /// Bytes for objects.
    pub(super) store_mib: u64,
    /// Threads that serve.
    pub(super) threads: usize,
    /// Routes besides the one that everything takes.
    pub(super) routes: usize,
    /// Programs to run it under, such as valgrind.
    pub(super) under: Vec<String>,
    /// Sections for forebay's file,
    pub(super) more: String,
    /// and lines for its listener, its origin and its route.
    pub(super) of_listen: String,
    pub(super) of_origin: String,
    pub(super) of_route: String,
}

/// A server that answers.
pub(super) struct Running<'a> {
    pub(super) kind: Kind,
    pub(super) wire: Wire,
    pub(super) port: u16,
    stage: &'a Stage<'a>,
    child: Child,
    reload: Vec<String>,
    admin: Option<String>,
}

/// The command lines of a server.
struct Plan {
    run: Vec<String>,
    reload: Vec<String>,
    /// Where it takes orders by HTTP.
    admin: Option<String>,
}

/// What a driver may use.
struct Place<'a> {
    stage: &'a Stage<'a>,
    setup: &'a Setup,
    port: u16,
    /// Begins the names of this server's files.
    name: String,
}

impl Kind {
    const ALL: [Kind; 7] = [
        Kind::Forebay,
        Kind::Floor,
        Kind::Bare,
        Kind::Nginx,
        Kind::NginxNopush,
        Kind::Varnish,
        Kind::H2o,
    ];

    /// The name in tables and on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Forebay => "forebay",
            Kind::Floor => "floor",
            Kind::Bare => "bare",
            Kind::Nginx => "nginx",
            Kind::NginxNopush => "nginx-nopush",
            Kind::Varnish => "varnish",
            Kind::H2o => "h2o",
        }
    }

    pub(super) fn named(name: &str) -> Result<Kind, String> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or(format!("`{name}` is none of forebay, nginx, nginx-nopush, varnish, h2o"))
    }

    /// The executable from Debian, or nothing.
    pub(super) fn program(self) -> &'static str {
        match self {
            Kind::Forebay | Kind::Floor | Kind::Bare => "",
            Kind::Nginx | Kind::NginxNopush => "nginx",
            Kind::Varnish => "varnishd",
            Kind::H2o => "h2o",
        }
    }
}

impl Setup {
    /// One thread, room for the small set of objects.
    pub(super) fn of(kind: Kind, wire: Wire) -> Setup {
        Setup {
            kind,
            wire,
            store_mib: 256,
            threads: 1,
            routes: 0,
            under: Vec::new(),
            more: String::new(),
            of_listen: String::new(),
            of_origin: String::new(),
            of_route: String::new(),
        }
    }
}

impl<'a> Running<'a> {
    /// Starts the server on its core and waits until it answers.
    pub(super) fn start(stage: &'a Stage<'a>, setup: &Setup) -> Result<Running<'a>, String> {
        let port = free_port()?;
        let name = format!("{}-{port}", setup.kind.name());
        let place = Place { stage, setup, port, name: name.clone() };
        let plan = match setup.kind {
            Kind::Forebay => forebay::plan(&place)?,
            Kind::Floor | Kind::Bare => instrument(&place),
            Kind::Nginx => nginx::plan(&place, "off")?,
            Kind::NginxNopush => nginx::plan(&place, "on")?,
            Kind::Varnish => varnish::plan(&place)?,
            Kind::H2o => h2o::plan(&place)?,
        };
        let machine = &stage.machine;
        let core = match setup.threads {
            1 => machine.server_core.to_string(),
            _ => format!("{},{}", machine.server_core, machine.second_core),
        };
        let path = stage.path(&format!("{name}.log"));
        let log = File::create(&path).map_err(|error| format!("cannot write `{path}`: {error}"))?;
        let copy = log.try_clone().map_err(|error| format!("cannot write `{path}`: {error}"))?;
        let child = Command::new("taskset")
            .args(["-c", &core])
            .args(&setup.under)
            .args(&plan.run)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (kind, wire) = (setup.kind, setup.wire);
        let Plan { reload, admin, .. } = plan;
        let running = Running { kind, wire, port, stage, child, reload, admin };
        running.answers().map_err(|reason| format!("{name}: {reason}\n{}", tail(&path)))?;
        Ok(running)
    }

    /// Processor time of all its processes.
    pub(super) fn cpu(&self) -> Result<Cpu, String> {
        self.stage.machine.cpu_of_tree(self.child.id())
    }

    /// Bytes of memory of all its processes.
    pub(super) fn memory(&self) -> Result<u64, String> {
        memory_of_tree(self.child.id())
    }

    /// Reads its configuration again; how long the command took.
    pub(super) fn reload(&self) -> Result<Duration, String> {
        if self.reload.is_empty() {
            return Err(format!("{} has no reload here", self.kind.name()));
        }
        // On the server's core: on the client's, it is the client that the start of any program delays
        // by milliseconds, and that would be counted as the server's.
        let core = self.stage.machine.server_core.to_string();
        let mut args: Vec<&str> = vec!["-c", &core];
        args.extend(self.reload.iter().map(String::as_str));
        let start = clock::now();
        output("taskset", &args)?;
        Ok(clock::now() - start)
    }

    /// Where it takes orders by HTTP.
    pub(super) fn admin(&self) -> Result<&str, String> {
        self.admin.as_deref().ok_or(format!("{} takes no orders by HTTP", self.kind.name()))
    }

    fn answers(&self) -> Result<(), String> {
        // Valgrind starts slowly, and so does the C compiler that Varnish calls.
        wait_for(self.port, Duration::from_secs(60))?;
        if self.wire == Wire::Tls {
            return Ok(());
        }
        let deadline = clock::now() + Duration::from_secs(30);
        loop {
            match get(self.port, "/1k?ready") {
                Ok((200, _)) => return Ok(()),
                outcome if clock::now() > deadline => {
                    return Err(format!("it does not answer 200 but {outcome:?}"));
                }
                _ => clock::block_for(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

fn instrument(place: &Place<'_>) -> Plan {
    let instruments = place.stage.instruments.display().to_string();
    let (verb, port) = (place.setup.kind.name(), place.port.to_string());
    Plan { run: words(&[&instruments, verb, "--port", &port]), reload: Vec::new(), admin: None }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The full path: Debian's servers lie outside of many users' `PATH`.
fn program(kind: Kind) -> Result<String, String> {
    let found = super::peers::find(kind.program());
    found.map(|path| path.display().to_string()).ok_or(format!("{} is missing", kind.program()))
}

fn tail(path: impl AsRef<Path>) -> String {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
