//! What all cores share: sockets, certificates, limits, counts. Made at the start, swapped on reload.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::caps::Caps;
use super::counters::Counters;
use super::inherited::Inherited;
use super::settings::Settings;
use super::sockets::{BindError, Sockets};
use super::tls::{CertificateError, Certificates, Prepared};
use crate::config::admit::Admit;
use crate::config::listen::{Listen, Listener};

/// The way into the process.
#[derive(Debug)]
pub struct Entrance {
    sockets: watch::Sender<Sockets>,
    settings: ArcSwap<Settings>,
    certificates: Certificates,
    caps: Arc<Caps>,
    counters: Arc<Counters>,
    cores: usize,
    inherited: Inherited,
}

impl Entrance {
    /// Binds the sockets and loads the certificates. From here on clients wait in the kernel; they
    /// are served once [`super::run`] runs on each of `cores` cores.
    pub fn open(listen: &Listen, admit: &Admit, cores: usize) -> Result<Entrance, OpenError> {
        Entrance::open_with(listen, admit, cores, Inherited::default())
    }

    /// The same with sockets that the process was started with.
    pub fn open_with(
        listen: &Listen,
        admit: &Admit,
        cores: usize,
        inherited: Inherited,
    ) -> Result<Entrance, OpenError> {
        let certificates = Certificates::load(&listen.certificates)?;
        let sockets = Sockets::bind(&listen.listeners, cores, &inherited, None)?;
        Ok(Entrance {
            sockets: watch::Sender::new(sockets),
            settings: ArcSwap::from_pointee(Settings::new(listen, admit)),
            certificates,
            caps: Arc::default(),
            counters: Arc::default(),
            cores,
            inherited,
        })
    }

    /// Does everything of a reload that can fail; nothing changes yet.
    pub fn prepare(&self, listen: &Listen, admit: &Admit) -> Result<Next, OpenError> {
        let certificates = self.certificates.prepare(&listen.certificates)?;
        let before = self.sockets.borrow().clone();
        let sockets = Sockets::bind(&listen.listeners, self.cores, &self.inherited, Some(&before))?;
        Ok(Next { sockets, certificates, settings: Settings::new(listen, admit) })
    }

    /// Puts it in force. Open connections go on under the deadlines they began with; listeners that
    /// are gone serve what is queued and close.
    pub fn swap(&self, next: Next) {
        self.settings.store(Arc::new(next.settings));
        self.certificates.swap(next.certificates);
        self.sockets.send_replace(next.sockets);
    }

    /// Where we listen, with real ports.
    pub fn addresses(&self) -> Vec<Listener> {
        self.sockets.borrow().addresses()
    }

    /// The certificates in force: `admit` asks them whether a request is misdirected.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// What was counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    pub(super) fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    pub(super) fn sockets(&self) -> watch::Receiver<Sockets> {
        self.sockets.subscribe()
    }
}

/// A reload that is ready to be swapped in.
#[derive(Debug)]
pub struct Next {
    sockets: Sockets,
    certificates: Prepared,
    settings: Settings,
}

/// Why the way in cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl OpenError {
    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        match self {
            OpenError::Bind(error) => error.hint(),
            OpenError::Certificate(error) => error.hint(),
        }
    }
}
