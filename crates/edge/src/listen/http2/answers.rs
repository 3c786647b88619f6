//! From answers to frames.

use std::task::{Context, Waker};

use forebay_signals::clock;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::Body as HttpBody;

use super::frame::{self, Code, MAX_PAYLOAD, flag, kind};
use super::head::is_hop_by_hop;
use super::patience::LEAST_RATE;
use super::priority::Priority;
use super::stream::{Content, Opening, Piece, Progress};
use super::streams::{Streams, find};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body};
use crate::listen::Handler;

/// What follows the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Content,
    Nothing,
}

impl<H: Handler> Streams<H> {
    /// Answers a request whose client has said all, without making a stream of it if the whole answer
    /// can go out now.
    pub(super) fn answer_at_once(&mut self, opening: Opening, answer: Answer) {
        let Opening { id, is_head, .. } = opening;
        let small = match &answer.body {
            Body::Empty => Some(0),
            Body::Whole(bytes) => Some(bytes.len()),
            Body::Stream(_) => None,
        };
        let fits = |length: &usize| {
            let window = self.window.min(self.stream_window);
            *length <= MAX_PAYLOAD && of_window(*length) <= window
        };
        let Some(length) = small.filter(fits) else {
            let stream = self.new_stream(opening);
            self.open.push(stream);
            self.begin_answer(id, answer);
            return;
        };
        let (follows, body) = self.write_head(id, is_head, answer);
        if follows == Follows::Content
            && let Body::Whole(bytes) = body
        {
            let out = self.output.bytes();
            frame::write_head(out, length, kind::DATA, flag::END_STREAM, id);
            self.output.push_content(bytes);
            self.window -= of_window(length);
        }
        self.patience.earn(length as u64, LEAST_RATE);
        self.budget.answered();
        self.budget.sent(length);
    }

    /// Sends the head of a stream's answer; content follows in [`Streams::send_contents`].
    pub(super) fn begin_answer(&mut self, id: u32, answer: Answer) {
        let is_head = self.find(id).is_some_and(|stream| stream.is_head);
        let (follows, body) = self.write_head(id, is_head, answer);
        self.budget.answered();
        if follows == Follows::Nothing {
            self.finish(id);
            return;
        }
        if let Some(stream) = self.find(id) {
            stream.answer = Progress::Content(Content::new(body));
        }
    }

    fn write_head(&mut self, id: u32, is_head: bool, mut answer: Answer) -> (Follows, Body) {
        if answer.status.is_informational() {
            // HTTP/2 has no upgrade; whoever asked for one anyway is a fault of ours.
            let why = "the answer cannot be sent over HTTP/2";
            answer = Answer::from(&Error::new(ErrorKind::Internal, why));
        }
        let Answer { status, lines, fields, own, body, .. } = answer;
        let has_no_content =
            is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let length = body.size_hint().exact();
        let out = self.output.bytes();
        let at = frame::begin_block(out);
        self.encoder.begin(status, out);
        self.encoder.lines(&lines, is_left_out, out);
        for (name, value) in &fields {
            if !is_left_out(name.as_str().as_bytes()) {
                self.encoder.field(name.as_str().as_bytes(), value.as_bytes(), out);
            }
        }
        self.encoder.lines(own.as_bytes(), |_| false, out);
        // RFC 9110 §8.6: none on 204 and 1xx; on HEAD and 304 the origin's own, if it sent one.
        match (has_no_content, length) {
            (true, _) if status == StatusCode::NO_CONTENT => {}
            (true, _) => {
                if let Some(length) = fields.get(CONTENT_LENGTH) {
                    self.encoder.literal(b"content-length", length.as_bytes(), out);
                }
            }
            (false, Some(length)) => {
                let mut digits = itoa::Buffer::new();
                self.encoder.literal(b"content-length", digits.format(length).as_bytes(), out);
            }
            (false, None) => {}
        }
        let follows =
            if has_no_content || body.is_empty() { Follows::Nothing } else { Follows::Content };
        let flags = if follows == Follows::Nothing { flag::END_STREAM } else { 0 };
        frame::finish_block(out, at, flags, id);
        (follows, body)
    }

    /// An answer before the answer (RFC 9110 §15.2).
    pub(super) fn write_interim(&mut self, id: u32, status: StatusCode, lines: &[u8]) {
        let out = self.output.bytes();
        let at = frame::begin_block(out);
        self.encoder.begin(status, out);
        self.encoder.lines(lines, is_left_out, out);
        frame::finish_block(out, at, 0, id);
    }

    /// Sends content, most urgent streams first (RFC 9218 §10), as far as windows and output allow. True
    /// if anything was sent.
    pub(super) fn send_contents(&mut self) -> bool {
        let mut has_sent = false;
        while !self.output.is_full()
            && let Some(id) = self.next_to_send()
        {
            self.turn = id;
            has_sent = true;
            self.send_piece(id);
        }
        has_sent
    }

    /// Of the most urgent streams that can send: the first that wants to be whole soon, or the next in
    /// turn of those that are of use while they arrive.
    fn next_to_send(&mut self) -> Option<u32> {
        let (window, turn) = (self.window, self.turn);
        let mut now = None;
        let (mut is_held_back, mut has_rest) = (false, false);
        let mut best: Option<((u8, bool, bool, u32), u32)> = None;
        for stream in self.open.iter_mut().filter(|stream| stream.has_content()) {
            has_rest |= stream.has_rest();
            if stream.has_rest() && stream.window <= 0 {
                stream.patience.wait(*now.get_or_insert_with(clock::now));
                continue;
            }
            // From here on it is not this stream that is held back.
            stream.patience.pause(clock::now);
            if stream.has_rest() && window <= 0 {
                is_held_back = true;
                continue;
            }
            let Priority { urgency, is_incremental } = stream.priority;
            let has_had_its_turn = is_incremental && stream.id <= turn;
            let rank = (urgency, is_incremental, has_had_its_turn, stream.id);
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, stream.id));
            }
        }
        match (is_held_back, has_rest) {
            (true, _) => self.patience.wait(*now.get_or_insert_with(clock::now)),
            (false, true) => self.patience.pause(clock::now),
            (false, false) => self.patience.renew(),
        }
        best.map(|(_, id)| id)
    }

    /// One frame of a stream's content.
    fn send_piece(&mut self, id: u32) {
        let Some(stream) = find(&mut self.open, id) else { return };
        // What lies here already is sent without asking anybody.
        let source = if stream.has_rest() { None } else { Some(stream.waker(&self.wakes)) };
        let waker = source.as_ref().unwrap_or(Waker::noop());
        let window = stream.window.min(self.window);
        let Progress::Content(content) = &mut stream.answer else { return };
        let counters = &self.context.counters;
        let (length, is_last) = match content.poll_piece(counters, &mut Context::from_waker(waker))
        {
            Piece::Quiet => {
                // The client has all that there is.
                stream.patience.renew();
                return;
            }
            Piece::Some(length) => (length, false),
            Piece::Last(length) => (length, true),
            Piece::Trailers(trailers) => {
                self.write_trailers(id, &trailers);
                self.finish(id);
                return;
            }
            Piece::Broken(error) => {
                tracing::debug!(error = %error, "answer broke off");
                self.reset(id, Code::INTERNAL_ERROR);
                return;
            }
        };
        let room = usize::try_from(window).unwrap_or(0);
        let sent = length.min(MAX_PAYLOAD).min(room);
        if sent == 0 && length > 0 {
            // It waits for a window, which the next look finds.
            return;
        }
        let is_last = is_last && sent == length;
        let flags = if is_last { flag::END_STREAM } else { 0 };
        let piece = content.take(sent);
        frame::write_head(self.output.bytes(), sent, kind::DATA, flags, id);
        self.output.push_content(piece);
        let taken = of_window(sent);
        stream.window -= taken;
        self.window -= taken;
        stream.patience.earn(sent as u64, LEAST_RATE);
        self.patience.earn(sent as u64, LEAST_RATE);
        self.budget.sent(sent);
        if is_last {
            self.finish(id);
        }
    }

    fn write_trailers(&mut self, id: u32, trailers: &HeaderMap) {
        let out = self.output.bytes();
        let at = frame::begin_block(out);
        self.encoder.begin_trailers(out);
        for (name, value) in trailers {
            if !is_left_out(name.as_str().as_bytes()) {
                self.encoder.literal(name.as_str().as_bytes(), value.as_bytes(), out);
            }
        }
        frame::finish_block(out, at, flag::END_STREAM, id);
    }
}

/// What so many bytes take from a window.
fn of_window(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Fields of one connection, and the length, which is ours to say.
fn is_left_out(name: &[u8]) -> bool {
    name == b"content-length" || is_hop_by_hop(name)
}
