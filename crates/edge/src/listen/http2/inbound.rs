//! Cuts what comes from a client into frames, and finds what is wrong with each by itself.
//!
//! In: bytes as they come. Out: one [`Event`] a frame; of content, one a piece, so that a slow upload
//! moves on before its frame is whole. What frames mean for streams is not looked at here.

#![warn(clippy::indexing_slicing)]

use super::frame::{Code, FrameHead, HEAD_BYTES, MAX_PAYLOAD, MAX_WINDOW, flag, kind, setting};
use crate::listen::detect::PREFACE;

/// The connection must end with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub(super) Code);

const WRONG: Fault = Fault(Code::PROTOCOL_ERROR);
const WRONG_SIZE: Fault = Fault(Code::FRAME_SIZE_ERROR);

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A whole field block.
    Block {
        stream: u32,
        ends: bool,
        is_selfish: bool,
        block: &'a [u8],
    },
    /// A frame of content begins. All of it counts against the windows, `unread` of it is padding.
    DataBegins {
        stream: u32,
        counts: usize,
        unread: usize,
        ends: bool,
    },
    /// A piece of that frame's content.
    Data {
        stream: u32,
        bytes: &'a [u8],
    },
    /// Content is complete.
    DataEnds {
        stream: u32,
    },
    /// PRIORITY, which says nothing any more (§5.3.2); one that is malformed costs its stream.
    Priority {
        stream: u32,
        error: Option<Code>,
    },
    /// How urgent a stream is from now on (RFC 9218 §7.1).
    PriorityUpdate {
        stream: u32,
        value: &'a [u8],
    },
    Reset {
        stream: u32,
    },
    /// Pairs of two and four bytes.
    Settings(&'a [u8]),
    SettingsTaken,
    Ping([u8; 8]),
    Pong([u8; 8]),
    GoAway,
    Window {
        stream: u32,
        increment: u32,
    },
    /// A frame that is of no use by itself: a part of a block, or of a kind that we do not know.
    Useless,
    /// Bytes that belong to what was said before.
    Nothing,
}

/// Where in the bytes we are.
#[derive(Debug, Clone, Copy)]
enum At {
    Preface,
    Settings,
    Frame,
    Data(Left),
}

/// What is left of a frame of content.
#[derive(Debug, Clone, Copy)]
struct Left {
    stream: u32,
    content: usize,
    padding: usize,
    ends: bool,
}

/// A block that goes on in CONTINUATIONs.
#[derive(Debug)]
struct Open {
    stream: u32,
    ends: bool,
    is_selfish: bool,
}

/// One connection's inbound direction.
#[derive(Debug)]
pub(super) struct Inbound {
    at: At,
    open: Option<Open>,
    block: Vec<u8>,
    /// Bytes that a block may have, however it is cut.
    most: usize,
}

impl Inbound {
    pub(super) fn new(most: usize) -> Inbound {
        Inbound { at: At::Preface, open: None, block: Vec::new(), most }
    }

    /// True inside a head: it has its own deadline.
    pub(super) fn is_in_block(&self) -> bool {
        self.open.is_some()
    }

    /// True if the next event is the end of a frame of content, which is there without another byte.
    pub(super) fn is_at_end_of_data(&self) -> bool {
        matches!(self.at, At::Data(Left { content: 0, padding: 0, .. }))
    }

    /// The next event in `bytes`, and how many of them it took; `None` if it is not whole yet.
    pub(super) fn next<'a>(
        &'a mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        match self.at {
            At::Preface => {
                let known = bytes.len().min(PREFACE.len());
                if bytes.get(..known) != PREFACE.get(..known) {
                    return Err(WRONG);
                }
                if bytes.len() < PREFACE.len() {
                    return Ok(None);
                }
                self.at = At::Settings;
                Ok(Some((Event::Nothing, PREFACE.len())))
            }
            At::Data(left) => Ok(self.data(bytes, left)),
            At::Settings | At::Frame => self.frame(bytes),
        }
    }

    fn data<'a>(&mut self, bytes: &'a [u8], mut left: Left) -> Option<(Event<'a>, usize)> {
        let stream = left.stream;
        if self.is_at_end_of_data() {
            self.at = At::Frame;
            let event = if left.ends { Event::DataEnds { stream } } else { Event::Nothing };
            return Some((event, 0));
        }
        if bytes.is_empty() {
            return None;
        }
        let piece = bytes.get(..left.content).unwrap_or(bytes);
        left.content -= piece.len();
        let passed = left.padding.min(bytes.len() - piece.len());
        left.padding -= passed;
        self.at = At::Data(left);
        Some((Event::Data { stream, bytes: piece }, piece.len() + passed))
    }

    fn frame<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(Event<'a>, usize)>, Fault> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let head = FrameHead::parse(*head);
        if head.length > MAX_PAYLOAD {
            return Err(WRONG_SIZE);
        }
        if matches!(self.at, At::Settings) && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            // §3.4: the preface includes SETTINGS.
            return Err(WRONG);
        }
        // §6.10: nothing stands between the parts of a block.
        let goes_on = self.open.as_ref().map(|open| open.stream);
        match goes_on {
            Some(stream) if head.kind != kind::CONTINUATION || head.stream != stream => {
                return Err(WRONG);
            }
            None if head.kind == kind::CONTINUATION => return Err(WRONG),
            _ => {}
        }
        if head.kind == kind::DATA {
            return self.begin_data(&head, rest);
        }
        check_size(&head)?;
        let Some(payload) = rest.get(..head.length) else { return Ok(None) };
        self.at = At::Frame;
        let event = match head.kind {
            kind::HEADERS => self.headers(&head, payload)?,
            kind::CONTINUATION => self.continuation(&head, payload)?,
            _ => control(&head, payload)?,
        };
        Ok(Some((event, HEAD_BYTES + head.length)))
    }

    fn begin_data<'a>(
        &mut self,
        head: &FrameHead,
        rest: &[u8],
    ) -> Result<Option<(Event<'a>, usize)>, Fault> {
        if head.stream == 0 {
            return Err(WRONG);
        }
        let (mut padding, mut unread) = (0, 0);
        if head.has(flag::PADDED) {
            let Some(length) = rest.first() else { return Ok(None) };
            padding = usize::from(*length);
            unread = 1 + padding;
        }
        let content = head.length.checked_sub(unread).ok_or(WRONG)?;
        let (stream, ends) = (head.stream, head.has(flag::END_STREAM));
        self.at = At::Data(Left { stream, content, padding, ends });
        let event = Event::DataBegins { stream, counts: head.length, unread, ends };
        Ok(Some((event, HEAD_BYTES + unread - padding)))
    }

    fn headers<'a>(
        &'a mut self,
        head: &FrameHead,
        mut payload: &'a [u8],
    ) -> Result<Event<'a>, Fault> {
        // §5.1.1: streams that a client opens have odd numbers.
        if head.stream.is_multiple_of(2) {
            return Err(WRONG);
        }
        if head.has(flag::PADDED) {
            let (padding, rest) = payload.split_first().ok_or(WRONG_SIZE)?;
            let length = rest.len().checked_sub(usize::from(*padding)).ok_or(WRONG)?;
            payload = rest.get(..length).unwrap_or_default();
        }
        let mut is_selfish = false;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = payload.split_first_chunk::<5>().ok_or(WRONG_SIZE)?;
            is_selfish = depends_on(*priority) == head.stream;
            payload = rest;
        }
        let (stream, ends) = (head.stream, head.has(flag::END_STREAM));
        if head.has(flag::END_HEADERS) {
            return Ok(Event::Block { stream, ends, is_selfish, block: payload });
        }
        self.block.clear();
        self.block.extend_from_slice(payload);
        self.open = Some(Open { stream, ends, is_selfish });
        Ok(Event::Useless)
    }

    fn continuation<'a>(
        &'a mut self,
        head: &FrameHead,
        payload: &[u8],
    ) -> Result<Event<'a>, Fault> {
        if self.block.len() + payload.len() > self.most {
            return Err(Fault(Code::ENHANCE_YOUR_CALM));
        }
        self.block.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(Event::Useless);
        }
        let Some(Open { stream, ends, is_selfish }) = self.open.take() else { return Err(WRONG) };
        Ok(Event::Block { stream, ends, is_selfish, block: &self.block })
    }

    /// Gives the memory of a long block back.
    pub(super) fn tidy(&mut self) {
        if self.open.is_none() && self.block.capacity() > 0 {
            self.block = Vec::new();
        }
    }
}

fn depends_on(priority: [u8; 5]) -> u32 {
    let [a, b, c, d, _] = priority;
    u32::from_be_bytes([a, b, c, d]) & MAX_WINDOW
}

/// Sizes, and which frames belong to streams (§6).
fn check_size(head: &FrameHead) -> Result<(), Fault> {
    let fits = match head.kind {
        kind::RST_STREAM | kind::WINDOW_UPDATE => head.length == 4,
        kind::PING => head.length == 8,
        kind::SETTINGS if head.has(flag::ACK) => head.length == 0,
        kind::SETTINGS => head.length.is_multiple_of(6),
        kind::GOAWAY => head.length >= 8,
        kind::PRIORITY_UPDATE => head.length >= 4,
        _ => true,
    };
    let is_of_stream =
        matches!(head.kind, kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION);
    let is_of_connection =
        matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY | kind::PRIORITY_UPDATE);
    match head.stream {
        0 if is_of_stream => Err(WRONG),
        1.. if is_of_connection => Err(WRONG),
        _ if head.kind == kind::PUSH_PROMISE => Err(WRONG),
        _ if fits => Ok(()),
        _ => Err(WRONG_SIZE),
    }
}

fn control<'a>(head: &FrameHead, payload: &'a [u8]) -> Result<Event<'a>, Fault> {
    let word = || payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) & MAX_WINDOW;
    let stream = head.stream;
    Ok(match head.kind {
        kind::PRIORITY => {
            let error = match payload.first_chunk::<5>() {
                Some(priority) if payload.len() == 5 => {
                    (depends_on(*priority) == stream).then_some(Code::PROTOCOL_ERROR)
                }
                _ => Some(Code::FRAME_SIZE_ERROR),
            };
            Event::Priority { stream, error }
        }
        kind::PRIORITY_UPDATE if word() == 0 => return Err(WRONG),
        kind::PRIORITY_UPDATE => {
            Event::PriorityUpdate { stream: word(), value: payload.get(4..).unwrap_or_default() }
        }
        kind::RST_STREAM => Event::Reset { stream },
        kind::SETTINGS if head.has(flag::ACK) => Event::SettingsTaken,
        kind::SETTINGS => {
            check_settings(payload)?;
            Event::Settings(payload)
        }
        kind::PING => {
            let data = payload.first_chunk().copied().unwrap_or_default();
            if head.has(flag::ACK) { Event::Pong(data) } else { Event::Ping(data) }
        }
        kind::GOAWAY => Event::GoAway,
        kind::WINDOW_UPDATE => Event::Window { stream, increment: word() },
        _ => Event::Useless,
    })
}

/// Each setting with its value.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    let (pairs, _) = payload.as_chunks::<6>();
    pairs.iter().map(|[i0, i1, v0, v1, v2, v3]| {
        (u16::from_be_bytes([*i0, *i1]), u32::from_be_bytes([*v0, *v1, *v2, *v3]))
    })
}

/// §6.5.2.
fn check_settings(payload: &[u8]) -> Result<(), Fault> {
    for (id, value) in settings(payload) {
        match id {
            // RFC 9218 §2.1 says the same of its own.
            setting::ENABLE_PUSH | setting::NO_RFC7540_PRIORITIES if value > 1 => {
                return Err(WRONG);
            }
            setting::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                return Err(Fault(Code::FLOW_CONTROL_ERROR));
            }
            setting::MAX_FRAME_SIZE if !(0x4000..=0x00ff_ffff).contains(&value) => {
                return Err(WRONG);
            }
            _ => {}
        }
    }
    Ok(())
}
