//! Wakes those who wait: within this process directly, in others by a datagram.
//!
//! Whoever waits has a socket in the folder `FILE-wake` beside the file; whoever puts something into a queue
//! sends a datagram to each socket there. Nothing depends on it but time: what is missed is seen within a
//! second.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use forebay_signals::clock;
use tokio::sync::Notify;

/// Sockets that are told at most. Who is beyond them looks by itself once a second.
const MOST_TOLD: usize = 1_000;
/// How often the listener looks whether it is still wanted.
const LISTEN: Duration = Duration::from_secs(1);
/// A folder that changed so long before it was read shows its next change in its time stamp, whatever the
/// file system's clock.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Bell {
    folder: PathBuf,
    changed: Arc<Notify>,
    own: OnceLock<Option<Own>>,
    told: Mutex<Told>,
    sender: Option<UnixDatagram>,
}

/// The socket of this process.
#[derive(Debug)]
struct Own {
    name: OsString,
    has_ended: Arc<AtomicBool>,
}

/// Whom to tell.
#[derive(Debug, Default)]
struct Told {
    names: Vec<OsString>,
    /// When the folder had changed last, if that is worth to be relied on.
    of: Option<SystemTime>,
}

impl Bell {
    pub(super) fn beside(file: &Path) -> Bell {
        let mut folder = file.as_os_str().to_owned();
        folder.push("-wake");
        let sender = UnixDatagram::unbound().and_then(|it| it.set_nonblocking(true).map(|()| it));
        Bell {
            folder: folder.into(),
            changed: Arc::default(),
            own: OnceLock::new(),
            told: Mutex::default(),
            sender: sender.ok(),
        }
    }

    /// What is notified when something may have changed.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Begins to listen for other processes, if that was not done before.
    pub(super) fn listen(&self) {
        self.own.get_or_init(|| {
            let own = self.bind();
            if let Err(error) = &own {
                tracing::warn!(
                    folder = %self.folder.display(), error = %error,
                    "other processes cannot wake this one: it looks for jobs once a second"
                );
            }
            own.ok()
        });
    }

    /// Wakes all who wait, here and elsewhere.
    pub(super) fn ring(&self) {
        self.changed.notify_waiters();
        let Some(sender) = &self.sender else { return };
        // Another thread that rings right now reads the folder anew as well: nobody is left out.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(modified) = fs::metadata(&self.folder).and_then(|it| it.modified()) else { return };
        if told.of != Some(modified) {
            told.names = self.others();
            let age = clock::wall().duration_since(modified).unwrap_or_default();
            told.of = (age >= SETTLED).then_some(modified);
        }
        if told.names.is_empty() {
            return;
        }
        let Ok(way) = Way::to(&self.folder) else { return };
        for name in &told.names {
            // A socket whose buffer is full has been told; one that nobody holds is what a dead process left.
            if let Err(error) = sender.send_to(b"!", way.path(name))
                && error.kind() == io::ErrorKind::ConnectionRefused
            {
                drop(fs::remove_file(self.folder.join(name)));
            }
        }
    }

    fn others(&self) -> Vec<OsString> {
        let own = self.own.get().and_then(Option::as_ref).map(|own| &own.name);
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| Some(name) != own).take(MOST_TOLD).collect()
    }

    fn bind(&self) -> io::Result<Own> {
        static SOCKETS: AtomicU64 = AtomicU64::new(0);
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
        let nonce = fastrand::u32(..);
        let name = OsString::from(format!("{}-{number}-{nonce:08x}", std::process::id()));
        let socket = UnixDatagram::bind(Way::to(&self.folder)?.path(&name))?;
        socket.set_read_timeout(Some(LISTEN))?;
        let has_ended = Arc::new(AtomicBool::new(false));
        let (changed, ended) = (Arc::clone(&self.changed), Arc::clone(&has_ended));
        let listen = move || {
            let mut byte = [0; 1];
            while !ended.load(Ordering::Acquire) {
                match socket.recv(&mut byte) {
                    Ok(_) => changed.notify_waiters(),
                    Err(error) if is_passing(&error) => {}
                    Err(error) => {
                        tracing::warn!(error = %error, "other processes no longer wake this one");
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name("jobs-wake".to_owned()).spawn(listen)?;
        Ok(Own { name, has_ended })
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl Drop for Bell {
    fn drop(&mut self) {
        let Some(own) = self.own.get().and_then(Option::as_ref) else { return };
        own.has_ended.store(true, Ordering::Release);
        let path = self.folder.join(&own.name);
        if let (Some(sender), Ok(way)) = (&self.sender, Way::to(&self.folder)) {
            // So that it ends at once; else it does within a second.
            drop(sender.send_to(b".", way.path(&own.name)));
        }
        drop(fs::remove_file(path));
    }
}

/// A short way to a folder: the address of a socket has room for 107 bytes, and paths are longer.
struct Way {
    folder: PathBuf,
    _open: Option<File>,
}

impl Way {
    fn to(folder: &Path) -> io::Result<Way> {
        const MOST_BYTES: usize = 60;
        if folder.as_os_str().len() <= MOST_BYTES {
            return Ok(Way { folder: folder.to_owned(), _open: None });
        }
        let open = File::open(folder)?;
        let folder = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Way { folder, _open: Some(open) })
    }

    fn path(&self, name: &OsString) -> PathBuf {
        self.folder.join(name)
    }
}
