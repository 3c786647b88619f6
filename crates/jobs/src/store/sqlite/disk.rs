//! Brings the log to the disk, for all who wait for it at once.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use forebay_signals::clock;

use super::fault::Fault;
use super::writer::Call;

/// What nobody waits for is on the disk after this at the latest.
const SOON: Duration = Duration::from_millis(50);

/// Calls that are committed and wait for the disk; none if what was committed is in no hurry.
pub(super) struct Due(pub(super) Vec<Box<dyn Call>>);

pub(super) struct Disk {
    log: File,
    has_failed: Arc<AtomicBool>,
}

impl Disk {
    pub(super) fn new(log: File, has_failed: Arc<AtomicBool>) -> Disk {
        Disk { log, has_failed }
    }

    /// Until the writer ends.
    pub(super) fn serve(self, due: &Receiver<Due>) {
        while let Ok(Due(mut waiting)) = due.recv() {
            let until = clock::now() + SOON;
            while waiting.is_empty() {
                let left = until.saturating_duration_since(clock::now());
                match due.recv_timeout(left) {
                    Ok(Due(more)) => waiting = more,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            while let Ok(Due(more)) = due.try_recv() {
                waiting.extend(more);
            }
            let synced = self.sync();
            for call in waiting {
                call.answer(synced.clone().map_err(|error| Fault::Disk(error).into()));
            }
        }
    }

    /// After one failure none is believed: the system forgets what it could not write.
    fn sync(&self) -> Result<(), String> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err("an earlier write; open the store anew".to_owned());
        }
        self.log.sync_data().map_err(|error| {
            self.has_failed.store(true, Ordering::Release);
            tracing::error!(error = %error, "the disk does not take the log of the job store");
            error.to_string()
        })
    }
}
