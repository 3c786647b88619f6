//! Where lines go: one thread writes blocks that the cores hand over.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Access, access};

/// Blocks that wait for the disk; beyond it they are dropped.
const MOST_WAITING: usize = 256;

#[derive(Debug)]
pub(super) struct Sink {
    blocks: Mutex<Option<SyncSender<Vec<u8>>>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<Writing>>,
}

/// The thread that writes.
#[derive(Debug)]
struct Writing {
    thread: JoinHandle<()>,
    /// Nothing is ever sent: it is disconnected when the thread has ended.
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    lost_lines: AtomicU64,
    wants_reopen: AtomicBool,
}

enum Out {
    Standard,
    File(PathBuf, File),
}

impl Sink {
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Sink> {
        let out = match path {
            None => Out::Standard,
            Some(path) => {
                let file = append_to(&path)?;
                Out::File(path, file)
            }
        };
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let shared = Arc::new(Shared::default());
        let (running, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name("access-log".into()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let _running: SyncSender<()> = running;
                write_blocks(&receiver, out, &shared);
            }
        })?;
        let thread = Mutex::new(Some(Writing { thread, ended }));
        Ok(Sink { blocks: Mutex::new(Some(sender)), shared, thread })
    }

    pub(super) fn hand_over(&self, block: Vec<u8>) {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = match blocks.as_ref().map(|sender| sender.try_send(block)) {
            Some(Ok(())) | None => return,
            Some(Err(error)) => match error {
                std::sync::mpsc::TrySendError::Full(block)
                | std::sync::mpsc::TrySendError::Disconnected(block) => block,
            },
        };
        self.shared.lose(&unsent);
    }

    pub(super) fn reopen(&self) {
        self.shared.wants_reopen.store(true, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost_lines.load(Ordering::Relaxed)
    }

    /// Blocks until everything is written, but no longer than `patience`: a pipe that nobody reads takes
    /// nothing for ever.
    pub(super) fn finish(&self, patience: Duration) {
        drop(self.blocks.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writing = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writing { thread, ended }) = writing else { return };
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log takes nothing; its last lines are lost");
        } else if thread.join().is_err() {
            tracing::error!("the thread of the access log panicked");
        }
    }
}

impl Shared {
    fn lose(&self, block: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', block).count() as u64;
        // Said once at the first loss; the counter tells the rest.
        if self.lost_lines.fetch_add(lines, Ordering::Relaxed) == 0 {
            tracing::warn!("the access log does not keep up; lines are dropped and counted");
        }
    }
}

fn write_blocks(blocks: &Receiver<Vec<u8>>, mut out: Out, shared: &Shared) {
    loop {
        let block = match blocks.recv_timeout(Duration::from_millis(250)) {
            Ok(block) => Some(block),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if shared.wants_reopen.swap(false, Ordering::Relaxed)
            && let Out::File(path, file) = &mut out
        {
            match append_to(path) {
                Ok(new) => *file = new,
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "access log not reopened");
                }
            }
        }
        let Some(block) = block else { continue };
        let written = match &mut out {
            Out::Standard => io::stdout().lock().write_all(&block),
            Out::File(_, file) => file.write_all(&block),
        };
        // A full disk loses lines, never requests.
        if written.is_err() {
            shared.lose(&block);
        }
    }
}

/// Would a log at `path` open? Changes nothing: a file that this made would belong to whoever checks.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match path.metadata() {
        // What is no plain file is not opened: a pipe would wait for its reader.
        Ok(found) if found.is_file() || found.is_dir() => {
            OpenOptions::new().append(true).open(path).map(drop)
        }
        Ok(_) => Ok(access(path, Access::WRITE_OK)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let sink = Sink::open(Some(PathBuf::from("/dev/full"))).expect("it opens");
        sink.hand_over(b"one\ntwo\n".to_vec());
        sink.finish(Duration::from_secs(10));
        assert_eq!(sink.lost(), 2);
    }

    #[test]
    fn a_moved_file_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let sink = Sink::open(Some(path.clone())).expect("it opens");
        std::fs::rename(&path, folder.path().join("old")).expect("it moves");
        sink.reopen();
        sink.hand_over(b"line\n".to_vec());
        sink.finish(Duration::from_secs(10));
        assert_eq!(std::fs::read_to_string(&path).expect("it is there again"), "line\n");
    }

    #[test]
    fn a_pipe_that_nobody_reads_does_not_hold_up_the_end() {
        use std::os::fd::AsRawFd;
        let (_reader, writer) = io::pipe().expect("a pipe");
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let sink = Sink::open(Some(path.into())).expect("it opens");
        sink.hand_over(vec![b'x'; 1_000_000]);
        let (sender, ended) = sync_channel(1);
        std::thread::spawn(move || {
            sink.finish(Duration::from_millis(50));
            sender.send(()).expect("somebody waits");
        });
        ended.recv_timeout(Duration::from_secs(10)).expect("it ends all the same");
    }
}
