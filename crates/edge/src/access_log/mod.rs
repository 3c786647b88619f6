//! The access log: one line a request, made from the stamps of the rooms.
//!
//! In: a [`Record`] when the last byte of an answer has gone, or the client has. Out: lines of JSON or of
//! the combined log format, written behind the scenes. A request never waits for the disk: lines are
//! gathered per core and handed over in blocks; when the disk is full or slow, blocks are dropped and
//! counted ([`AccessLog::lost`]).

mod format;
mod sink;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Drain;

use crate::config::log::{Format, Log};
use crate::exchange::Exchange;
use crate::traffic::Outcome;
use sink::Sink;

/// A block is handed over at this size …
const BLOCK_BYTES: usize = 16 * 1024;
/// … or at this age.
const BLOCK_AGE: Duration = Duration::from_millis(200);

/// Time that the last lines have to be written.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// What is known of a request when it is over.
#[derive(Debug)]
pub struct Record<'a> {
    /// The request and its stamps.
    pub exchange: &'a Exchange,
    /// Name of its route; `-` if there was none.
    pub route: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of content that the client took from us.
    pub bytes: u64,
    /// What the cache did.
    pub outcome: Outcome,
    /// From the complete head to the last byte.
    pub total: Duration,
    /// False if the answer broke off.
    pub is_whole: bool,
}

/// The log, shared by all cores.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    sink: Option<Arc<Sink>>,
}

/// Lines that a core has gathered, and where they go: after a reload to another file, those from before
/// still go where they were meant to.
#[derive(Default)]
struct Block {
    sink: Option<Arc<Sink>>,
    lines: Vec<u8>,
}

impl Block {
    /// Makes this the block of `sink`.
    fn turn_to(&mut self, sink: &Arc<Sink>) {
        if !self.sink.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, sink)) {
            self.hand_over(0);
            self.sink = Some(Arc::clone(sink));
        }
    }

    /// True if there was something.
    fn hand_over(&mut self, room: usize) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(room));
        if let Some(sink) = &self.sink {
            sink.hand_over(lines);
        }
        true
    }
}

thread_local! {
    static BLOCK: RefCell<Block> = RefCell::default();
}

/// Hands over what this core has gathered, again and again until the drain is over.
pub async fn flush_regularly(drain: Drain) {
    while !drain.has_begun() {
        clock::sleep(BLOCK_AGE).await;
        flush();
    }
    let mut quiet = 0;
    // After the drain has begun requests still end; twice nothing to say is the end.
    while quiet < 2 || drain.held() > 0 {
        clock::sleep(BLOCK_AGE / 10).await;
        quiet = if flush() { 0 } else { quiet + 1 };
    }
}

/// Hands over what this core has gathered; true if there was something.
pub fn flush() -> bool {
    BLOCK.with_borrow_mut(|block| {
        let was_something = block.hand_over(0);
        // A sink that is no longer in force ends with whoever holds it last.
        block.sink = None;
        was_something
    })
}

impl AccessLog {
    /// Opens the file, or standard output.
    pub fn open(format: Format, path: Option<PathBuf>) -> std::io::Result<AccessLog> {
        let sink = match format {
            Format::Off => None,
            Format::Json | Format::Common => Some(Arc::new(Sink::open(path)?)),
        };
        Ok(AccessLog { format, sink })
    }

    /// Would it open? Changes nothing.
    pub fn check(settings: &Log) -> std::io::Result<()> {
        match &settings.path {
            Some(path) if settings.format != Format::Off => sink::check(path),
            _ => Ok(()),
        }
    }

    /// Writes nothing.
    pub fn off() -> AccessLog {
        AccessLog { format: Format::Off, sink: None }
    }

    /// True if lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    /// Adds a line to this core's block.
    pub fn write(&self, record: &Record<'_>) {
        let Some(sink) = &self.sink else { return };
        BLOCK.with_borrow_mut(|block| {
            block.turn_to(sink);
            match self.format {
                Format::Json => format::json(&mut block.lines, record),
                Format::Common => format::common(&mut block.lines, record),
                Format::Off => {}
            }
            if block.lines.len() >= BLOCK_BYTES {
                block.hand_over(BLOCK_BYTES + 512);
            }
        });
    }

    /// Opens the file anew after it was moved away (log rotation).
    pub fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.reopen();
        }
    }

    /// Blocks until everything handed over is written, for a while; for the end of the process.
    pub fn finish(&self) {
        if let Some(sink) = &self.sink {
            sink.finish(LAST_PATIENCE);
        }
    }

    /// Lines that were lost because the disk did not keep up or was full.
    pub fn lost(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.lost())
    }
}
