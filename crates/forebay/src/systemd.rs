//! The service manager: sockets that it hands over, and what it is told.
//!
//! In: the variables that systemd sets (`LISTEN_*`, `NOTIFY_SOCKET`, `WATCHDOG_*`). Out: listening sockets by
//! name, and datagrams to the manager: ready, reloading, stopping, alive. Without systemd nothing happens. An
//! application that we start gets neither the variables nor the descriptors.

use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_edge::listen::Inherited;
use forebay_signals::clock;
use forebay_signals::drain::Drain;

use crate::report::Problem;

/// What systemd says to us alone.
pub(crate) const VARIABLES: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];
/// The name of a socket that has none (`sd_listen_fds_with_names`).
const UNNAMED: &str = "unknown";

/// The sockets that the process was started with. To be asked once, before anything else is opened.
pub(crate) fn inherited() -> Result<Inherited, Problem> {
    let broken = || Problem::new("cannot take over the sockets of systemd");
    let hint =
        "`LISTEN_FDS` and `LISTEN_PID` are set by systemd for socket units; unset them elsewhere";
    let sockets = sd_listen_fds::get().map_err(|error| broken().because(error).hint(hint))?;
    let sockets = sockets.into_iter().map(|(name, descriptor)| (name, descriptor.into_std()));
    let (open, closed): (Vec<_>, Vec<_>) =
        sockets.partition(|(_, descriptor)| rustix::io::fcntl_getfd(descriptor).is_ok());
    let numbers: Vec<_> = closed.iter().map(|(_, descriptor)| descriptor.as_raw_fd()).collect();
    // There is nothing to close.
    closed.into_iter().for_each(std::mem::forget);
    if let Some(number) = numbers.first() {
        let error = io::Error::from(rustix::io::Errno::BADF);
        return Err(Problem::new(format!("descriptor {number} was not handed over"))
            .because(error)
            .hint(hint));
    }
    let named = open
        .into_iter()
        .map(|(name, descriptor)| (name.unwrap_or_else(|| UNNAMED.to_owned()), descriptor));
    Inherited::new(named).map_err(|error| {
        broken()
            .because(error)
            .hint("name stream sockets alone in the unit (`ListenStream=`), with `Accept=no`")
    })
}

/// Who is told how we are; nobody without systemd.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manager {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// It wants to hear from us this often.
    watchdog: Option<Duration>,
}

impl Manager {
    pub(crate) fn from_environment() -> Manager {
        let variable = |name| std::env::var(name).ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|address| match notify_socket(&address) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                tracing::warn!(%error, address, "systemd cannot be told");
                None
            }
        });
        let own = std::process::id().to_string();
        let is_for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let watchdog = variable("WATCHDOG_USEC").filter(|_| is_for_us && socket.is_some());
        let watchdog = watchdog.and_then(|micros| micros.parse().ok().map(Duration::from_micros));
        Manager { socket, watchdog: watchdog.filter(|every| !every.is_zero()) }
    }

    /// Says something; a manager that does not listen is not waited for.
    pub(crate) fn tell(&self, what: &str) {
        if let Some((socket, address)) = self.socket.as_deref()
            && let Err(error) = socket.send_to_addr(what.as_bytes(), address)
        {
            tracing::warn!(%error, what, "systemd was not told");
        }
    }

    /// Says that we are alive, twice as often as it must be, as long as every core is; in a drain, whose
    /// length is bound by other means, in any case.
    pub(crate) fn watch(&self, cores: usize, drain: &Drain) -> Arc<Beats> {
        let Some(every) = self.watchdog.map(|every| every / 2) else { return Arc::default() };
        let alive = (0..cores).map(|_| AtomicBool::new(true)).collect();
        let beats = Arc::new(Beats { alive, every: every / 2 });
        let (manager, heard, drain) = (self.clone(), Arc::clone(&beats), drain.clone());
        drop(tokio::spawn(async move {
            loop {
                if heard.all() || drain.has_begun() {
                    manager.tell("WATCHDOG=1");
                } else {
                    tracing::error!("a core does not answer");
                }
                clock::sleep(every).await;
            }
        }));
        beats
    }
}

fn notify_socket(address: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, to))
}

/// The heartbeats of the cores, if somebody wants to hear them.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    alive: Vec<AtomicBool>,
    every: Duration,
}

impl Beats {
    /// Beats for a core for as long as its runtime turns.
    pub(crate) async fn beat(&self, core: usize) {
        let Some(alive) = self.alive.get(core) else { return pending().await };
        loop {
            alive.store(true, Ordering::Relaxed);
            clock::sleep(self.every).await;
        }
    }

    /// True if every core has beaten since the last time.
    fn all(&self) -> bool {
        // Each is asked: a beat counts once.
        self.alive.iter().filter(|alive| !alive.swap(false, Ordering::Relaxed)).count() == 0
    }
}
