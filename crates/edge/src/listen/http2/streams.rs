//! The streams of a connection, and what each frame does to them (RFC 9113 §5, §6).
//!
//! No socket and no deadline is known here: [`Streams::take`] gets events, [`Streams::work`] lets streams
//! go on, and both append frames to [`Streams::output`].

use std::sync::Arc;
use std::task::{self, Poll};

use forebay_signals::drain::Drain;
use http::StatusCode;

use super::budget::Budget;
use super::frame::{self, Code, MAX_WINDOW, flag, kind, setting};
use super::hpack::{Decoder, Encoder};
use super::inbound::{Event, Fault, settings};
use super::output::Output;
use super::priority::Priority;
use super::stream::{Progress, Stream};
use super::wakes::Wakes;
use super::{CONNECTION_WINDOW, DEFAULT_WINDOW, MAX_STREAMS, STREAM_WINDOW};
use crate::exchange::Client;
use crate::listen::patience::Patience;
use crate::listen::settings::Settings;
use crate::listen::{Counters, Handler};

/// Data of the PING behind our first GOAWAY: when it comes back, whatever was sent before the client saw
/// that GOAWAY has come too.
const GOING_PING: [u8; 8] = *b"forebay.";

/// Streams that we have reset of late, whose frames may still be on the way.
const REMEMBERED: usize = MAX_STREAMS as usize;

/// What all requests of a connection share.
pub(in crate::listen) struct Context<H> {
    pub(in crate::listen) client: Client,
    pub(in crate::listen) settings: Arc<Settings>,
    pub(in crate::listen) counters: Arc<Counters>,
    pub(in crate::listen) handler: H,
    pub(in crate::listen) drain: Drain,
}

/// All streams of one connection, and what they share.
pub(super) struct Streams<H> {
    pub(super) context: Context<H>,
    pub(super) output: Output,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) budget: Budget,
    /// Bytes of the heads of those that are open.
    pub(super) head_bytes: usize,
    /// Those that are not closed yet, in the order of their numbers.
    pub(super) open: Vec<Stream>,
    pub(super) wakes: Arc<Wakes>,
    woken: Vec<u32>,
    /// Requests that ever came.
    pub(super) requests: u64,
    /// The highest stream that the client has opened.
    pub(super) last_stream: u32,
    was_reset: Vec<u32>,
    /// What the client takes for all streams.
    pub(super) window: i64,
    /// With that window, while there is content for which those of the streams have room.
    pub(super) patience: Patience,
    /// What it takes for a new one.
    pub(super) stream_window: i64,
    /// What we still take for all streams, and what we have read and not granted anew.
    pub(super) receive_window: usize,
    pub(super) credit: usize,
    going: Going,
    /// The stream that was served last among equals.
    pub(super) turn: u32,
}

/// How far we are with saying that the connection ends (§6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    No,
    /// The client knows; what it has sent before is still taken.
    Announced,
    /// Nothing new is taken.
    Said,
}

impl<H: Handler> Streams<H> {
    /// Begins with our SETTINGS.
    pub(super) fn new(context: Context<H>) -> Streams<H> {
        let mut output = Output::default();
        let head_bytes = context.settings.http1.limits.head_bytes;
        frame::write_settings(
            output.bytes(),
            &[
                (setting::MAX_CONCURRENT_STREAMS, MAX_STREAMS),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (setting::MAX_HEADER_LIST_SIZE, u32::try_from(head_bytes).unwrap_or(u32::MAX)),
                (setting::NO_RFC7540_PRIORITIES, 1),
            ],
        );
        let more = CONNECTION_WINDOW - DEFAULT_WINDOW;
        frame::write(output.bytes(), kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        Streams {
            context,
            output,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            budget: Budget::new(),
            head_bytes: 0,
            open: Vec::new(),
            wakes: Arc::default(),
            woken: Vec::new(),
            requests: 0,
            last_stream: 0,
            was_reset: Vec::new(),
            window: i64::from(DEFAULT_WINDOW),
            patience: Patience::default(),
            stream_window: i64::from(DEFAULT_WINDOW),
            receive_window: CONNECTION_WINDOW as usize,
            credit: 0,
            going: Going::No,
            turn: 0,
        }
    }

    /// Does what one event asks for.
    pub(super) fn take(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Nothing => Ok(()),
            Event::Block { stream, ends, is_selfish, block } => {
                self.take_block(stream, ends, is_selfish, block)
            }
            Event::DataBegins { stream, counts, unread, ends } => {
                self.begin_data(stream, counts, unread, ends)
            }
            Event::Data { stream, bytes } => self.take_data(stream, bytes),
            Event::DataEnds { stream } => self.end_content(stream, None),
            Event::Priority { stream, error } => {
                self.budget.steer()?;
                match error {
                    None => Ok(()),
                    // A stream that was never opened cannot be reset.
                    Some(code) if stream > self.last_stream => Err(Fault(code)),
                    Some(code) => self.break_stream(stream, code),
                }
            }
            Event::PriorityUpdate { stream, value } => {
                self.budget.steer()?;
                if let Some(stream) = self.find(stream) {
                    stream.priority = Priority::read(value);
                }
                Ok(())
            }
            Event::Reset { stream } => {
                self.check_not_idle(stream)?;
                self.budget.reset()?;
                self.remove(stream);
                Ok(())
            }
            Event::Settings(payload) => self.take_settings(payload),
            Event::SettingsTaken | Event::GoAway | Event::Useless => self.budget.steer(),
            Event::Ping(data) => {
                self.budget.steer()?;
                frame::write(self.output.bytes(), kind::PING, flag::ACK, 0, &data);
                Ok(())
            }
            Event::Pong(data) => {
                self.budget.steer()?;
                if self.going == Going::Announced && data == GOING_PING {
                    self.say_goaway();
                }
                Ok(())
            }
            Event::Window { stream: 0, increment } => {
                self.budget.steer()?;
                if increment == 0 {
                    return Err(Fault(Code::PROTOCOL_ERROR));
                }
                self.window = widened(self.window, increment)?;
                Ok(())
            }
            Event::Window { stream, increment } => self.widen(stream, increment),
        }
    }

    /// Lets streams that were woken go on, and sends content as far as windows and output allow. Called
    /// until it has nothing to do; from then on the task is woken with the next stream.
    pub(super) fn work(&mut self) -> Work {
        let mut woken = std::mem::take(&mut self.woken);
        self.wakes.take(&mut woken);
        let is_woken = !woken.is_empty();
        for id in woken.drain(..) {
            self.poll_stream(id);
        }
        self.woken = woken;
        let has_sent = self.send_contents();
        if is_woken || has_sent { Work::Some } else { Work::None }
    }

    fn take_settings(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.budget.steer()?;
        for (id, value) in settings(payload) {
            // A frame has room for thousands, each of which may move the windows of all streams.
            self.budget.steer()?;
            match id {
                setting::HEADER_TABLE_SIZE => self.encoder.resize(value as usize),
                setting::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.stream_window;
                    self.stream_window = i64::from(value);
                    for stream in &mut self.open {
                        stream.window += change;
                        if stream.window > i64::from(MAX_WINDOW) {
                            return Err(Fault(Code::FLOW_CONTROL_ERROR));
                        }
                    }
                }
                // Larger frames than the least that all must take are never sent.
                _ => {}
            }
        }
        frame::write(self.output.bytes(), kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    fn widen(&mut self, id: u32, increment: u32) -> Result<(), Fault> {
        self.check_not_idle(id)?;
        self.budget.steer()?;
        let Some(stream) = self.find(id) else { return Ok(()) };
        if increment == 0 {
            return self.break_stream(id, Code::PROTOCOL_ERROR);
        }
        match widened(stream.window, increment) {
            Ok(window) => stream.window = window,
            Err(Fault(code)) => return self.break_stream(id, code),
        }
        Ok(())
    }

    pub(super) fn poll_stream(&mut self, id: u32) {
        self.tend_feed(id);
        let Some(stream) = find(&mut self.open, id) else { return };
        let waker = stream.waker(&self.wakes);
        match &mut stream.answer {
            Progress::Content(content) => content.wake(),
            Progress::Waiting(coming) => {
                let mut context = task::Context::from_waker(&waker);
                let answer = match coming.poll_answer(&mut context) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => None,
                };
                // A client that takes nothing has no use for them.
                if !self.output.is_full() {
                    let hints = std::iter::from_fn(|| match &answer {
                        Some(_) => coming.next_hint_before_answer(),
                        None => match coming.poll_hint(&mut context) {
                            Poll::Ready(lines) => Some(lines),
                            Poll::Pending => None,
                        },
                    });
                    for lines in hints.collect::<Vec<_>>() {
                        self.write_interim(id, StatusCode::EARLY_HINTS, &lines);
                    }
                }
                if let Some(answer) = answer {
                    self.begin_answer(id, answer);
                }
            }
        }
    }

    /// True for a stream that we have reset of late.
    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.was_reset.contains(&id)
    }

    pub(super) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        find(&mut self.open, id)
    }

    /// §5.1: most frames on a stream that was never opened are an error of the connection.
    pub(super) fn check_not_idle(&self, id: u32) -> Result<(), Fault> {
        let is_idle = id > self.last_stream || id.is_multiple_of(2);
        if is_idle { Err(Fault(Code::PROTOCOL_ERROR)) } else { Ok(()) }
    }

    /// The client has broken a stream (§5.4.2). That costs: whoever makes us reset streams makes us work.
    pub(super) fn break_stream(&mut self, id: u32, code: Code) -> Result<(), Fault> {
        self.budget.reset()?;
        self.reset(id, code);
        Ok(())
    }

    /// Ends a stream from our side.
    pub(super) fn reset(&mut self, id: u32, code: Code) {
        frame::write(self.output.bytes(), kind::RST_STREAM, 0, id, &code.0.to_be_bytes());
        if self.was_reset.len() == REMEMBERED {
            self.was_reset.remove(0);
        }
        self.was_reset.push(id);
        self.remove(id);
    }

    pub(super) fn remove(&mut self, id: u32) {
        let Ok(at) = self.open.binary_search_by_key(&id, |stream| stream.id) else { return };
        let stream = self.open.remove(at);
        self.head_bytes -= stream.weight;
        if let Some(feed) = &stream.feed {
            self.grant(feed.held());
        }
    }

    /// Tells the client that the connection will end; what is under way goes on.
    pub(super) fn announce_goaway(&mut self) {
        if self.going == Going::No {
            self.going = Going::Announced;
            self.write_goaway(MAX_WINDOW, Code::NO_ERROR);
            frame::write(self.output.bytes(), kind::PING, 0, 0, &GOING_PING);
        }
    }

    fn say_goaway(&mut self) {
        self.going = Going::Said;
        self.write_goaway(self.last_stream, Code::NO_ERROR);
    }

    /// The last words of a connection that ends with this code.
    pub(super) fn end(&mut self, code: Code) {
        self.open.clear();
        if code != Code::NO_ERROR || self.going != Going::Said {
            self.write_goaway(self.last_stream, code);
        }
    }

    /// True if new streams are taken no more.
    pub(super) fn has_said_goaway(&self) -> bool {
        self.going == Going::Said
    }

    fn write_goaway(&mut self, last_stream: u32, code: Code) {
        let out = self.output.bytes();
        frame::write_head(out, 8, kind::GOAWAY, 0, 0);
        out.extend_from_slice(&last_stream.to_be_bytes());
        out.extend_from_slice(&code.0.to_be_bytes());
    }
}

/// Whether a connection has streams left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Streams,
    Nothing,
}

/// Whether anything was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Some,
    None,
}

/// The open stream with this number.
pub(super) fn find(open: &mut [Stream], id: u32) -> Option<&mut Stream> {
    let at = open.binary_search_by_key(&id, |stream| stream.id).ok()?;
    open.get_mut(at)
}

/// §6.9.1: a window has 31 bits.
fn widened(window: i64, increment: u32) -> Result<i64, Fault> {
    let wider = window + i64::from(increment);
    if wider > i64::from(MAX_WINDOW) { Err(Fault(Code::FLOW_CONTROL_ERROR)) } else { Ok(wider) }
}
