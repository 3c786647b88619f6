//! Looks at HTTP/2 frames as they pass by, for what the protocol engine does not see to.
//!
//! The engine ends floods of CONTINUATION and large heads by itself, but answers SETTINGS and PING
//! for ever. Control frames cost a token; time and answers give tokens back: a client that works
//! may steer as much as it needs, one that only steers is a flood. And where the engine says
//! `PROTOCOL_ERROR` for everything, frames of a wrong size get the code that RFC 9113 §4.2 and §6
//! name. Only heads of frames are looked at, never content.

use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::detect::PREFACE;

/// Control frames that a new connection may send at once.
const CONTROL_TOKENS: u32 = 200;
/// Streams that a client may take back at once: a page that is left, a map that is dragged.
const RESET_TOKENS: u32 = 200;
/// Tokens saved up by answers; more would let a flood ride on one long download.
const MOST_TOKENS: u32 = 2_000;
/// Time in which one token comes back.
const TOKEN_EVERY: Duration = Duration::from_millis(100);

/// Error codes (RFC 9113 §7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
/// The peer behaves so as to make us work.
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// Frame types (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
    pub(super) const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113 §6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;
const FRAME_HEAD: usize = 9;
/// Enough payload to see the error code of a GOAWAY, and more settings than there are.
const MOST_PAYLOAD: usize = 60;

/// The connection must end with a GOAWAY of this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault(pub u32);

const FLOOD: Fault = Fault(ENHANCE_YOUR_CALM);

/// Both directions of one connection.
#[derive(Debug)]
pub struct Frames {
    inbound: Scanner,
    outbound: Scanner,
    control: Bucket,
    resets: Bucket,
    last_stream: u32,
    has_settings: bool,
    goaway: Option<u32>,
}

impl Frames {
    /// Of a new connection: the client's preface comes first.
    #[expect(clippy::new_without_default, reason = "a connection begins, it is no value")]
    pub fn new() -> Frames {
        Frames {
            inbound: Scanner::after(PREFACE.len()),
            outbound: Scanner::after(0),
            control: Bucket::new(CONTROL_TOKENS),
            resets: Bucket::new(RESET_TOKENS),
            last_stream: 0,
            has_settings: false,
            goaway: None,
        }
    }

    /// Looks at bytes from the client.
    ///
    /// # Errors
    /// The first fault in them: the connection ends, and what follows it is not looked at.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Frames { inbound, control, resets, last_stream, has_settings, .. } = self;
        let mut verdict = Ok(());
        inbound.scan(bytes, |frame| {
            if verdict.is_err() {
                return;
            }
            if !std::mem::replace(has_settings, true) && frame.kind != kind::SETTINGS {
                // RFC 9113 §3.4: the preface includes SETTINGS.
                verdict = Err(Fault(PROTOCOL_ERROR));
                return;
            }
            let taken = match frame.kind {
                kind::HEADERS => {
                    *last_stream = frame.stream.max(*last_stream);
                    Ok(())
                }
                kind::CONTINUATION => Ok(()),
                kind::DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => Ok(()),
                kind::RST_STREAM => resets.take(),
                // SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones.
                _ => control.take(),
            };
            verdict = taken.and(frame.check());
        });
        verdict
    }

    /// Looks at bytes towards the client.
    pub fn send(&mut self, bytes: &[u8]) {
        let Frames { outbound, control, resets, goaway, .. } = self;
        outbound.scan(bytes, |frame| match frame.kind {
            kind::DATA | kind::HEADERS => {
                // A client answers each frame of ours with a WINDOW_UPDATE or two, large ones more.
                control.give(2 + frame.length / 2048);
                resets.give(1);
            }
            kind::GOAWAY => *goaway = Some(frame.error_code()),
            _ => {}
        });
    }

    /// The error code of the GOAWAY that we sent, if we did.
    pub fn goaway(&self) -> Option<u32> {
        self.goaway
    }

    /// A GOAWAY frame with this error code, for a connection whose engine is gone.
    pub fn goaway_frame(&self, error_code: u32) -> [u8; 17] {
        let mut frame = [0; 17];
        let mut put = |at: usize, bytes: [u8; 4]| {
            frame.iter_mut().skip(at).zip(bytes).for_each(|(to, byte)| *to = byte);
        };
        // Length 8, type 7, no flags, stream 0.
        put(0, [0, 0, 8, kind::GOAWAY]);
        put(9, self.last_stream.to_be_bytes());
        put(13, error_code.to_be_bytes());
        frame
    }
}

struct Frame<'a> {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
    /// The beginning, of GOAWAY and SETTINGS alone.
    payload: &'a [u8],
}

impl Frame<'_> {
    /// Sizes and values for which RFC 9113 §6 names an error code of its own.
    fn check(&self) -> Result<(), Fault> {
        let fits = match self.kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => self.length == 4,
            kind::PING => self.length == 8,
            kind::SETTINGS if self.flags & ACK != 0 => self.length == 0,
            kind::SETTINGS => self.length.is_multiple_of(6),
            _ => true,
        };
        if !fits {
            return Err(Fault(FRAME_SIZE_ERROR));
        }
        if self.kind == kind::SETTINGS && self.sets_too_large_a_window() {
            return Err(Fault(FLOW_CONTROL_ERROR));
        }
        Ok(())
    }

    fn sets_too_large_a_window(&self) -> bool {
        let (settings, _) = self.payload.as_chunks::<6>();
        settings.iter().any(|[i0, i1, v0, ..]| {
            u16::from_be_bytes([*i0, *i1]) == INITIAL_WINDOW_SIZE && *v0 > 0x7f
        })
    }

    fn error_code(&self) -> u32 {
        let code = self.payload.get(4..).and_then(<[u8]>::first_chunk);
        code.map_or(0, |code| u32::from_be_bytes(*code))
    }
}

/// Finds frame heads in a stream of bytes however it is cut.
#[derive(Debug)]
struct Scanner {
    /// Bytes to pass over before the next head.
    skip: usize,
    /// Head and beginning of the payload.
    held: [u8; FRAME_HEAD + MOST_PAYLOAD],
    filled: usize,
}

impl Scanner {
    fn after(skip: usize) -> Scanner {
        Scanner { skip, held: [0; FRAME_HEAD + MOST_PAYLOAD], filled: 0 }
    }

    fn scan(&mut self, mut bytes: &[u8], mut each: impl FnMut(&Frame<'_>)) {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let missing = self.wanted().saturating_sub(self.filled).min(bytes.len());
            let (held, rest) = bytes.split_at_checked(missing).unwrap_or_default();
            if let Some(space) = self.held.get_mut(self.filled..self.filled + held.len()) {
                space.copy_from_slice(held);
            }
            self.filled += held.len();
            bytes = rest;
            // Asked again: a head that is complete may want some of its payload.
            if self.skip == 0 && self.filled == self.wanted() {
                let frame = self.frame();
                each(&frame);
                self.skip = (frame.length as usize + FRAME_HEAD).saturating_sub(self.filled);
                self.filled = 0;
            }
        }
    }

    fn wanted(&self) -> usize {
        let [a, b, c, kind, ..] = self.held;
        if self.filled < FRAME_HEAD || !matches!(kind, kind::GOAWAY | kind::SETTINGS) {
            return FRAME_HEAD;
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        FRAME_HEAD + length.min(MOST_PAYLOAD)
    }

    fn frame(&self) -> Frame<'_> {
        let [a, b, c, kind, flags, s0, s1, s2, s3, payload @ ..] = &self.held;
        Frame {
            length: u32::from_be_bytes([0, *a, *b, *c]),
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes([s0 & 0x7f, *s1, *s2, *s3]),
            payload: payload.get(..self.filled.saturating_sub(FRAME_HEAD)).unwrap_or_default(),
        }
    }
}

/// Tokens that come back with time. The clock is asked only when none is left.
#[derive(Debug)]
struct Bucket {
    left: u32,
    /// When time was last turned into tokens.
    counted: Instant,
    most: u32,
}

impl Bucket {
    fn new(tokens: u32) -> Bucket {
        Bucket { left: tokens, counted: clock::now(), most: tokens }
    }

    fn take(&mut self) -> Result<(), Fault> {
        if self.left == 0 {
            let now = clock::now();
            let elapsed = now.saturating_duration_since(self.counted);
            let earned = elapsed.as_millis() / TOKEN_EVERY.as_millis();
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).min(self.most);
            self.counted = now;
        }
        self.left = self.left.checked_sub(1).ok_or(FLOOD)?;
        Ok(())
    }

    fn give(&mut self, tokens: u32) {
        self.left = self.left.saturating_add(tokens).min(MOST_TOKENS);
    }
}

#[cfg(test)]
#[path = "flood_tests.rs"]
mod tests;
