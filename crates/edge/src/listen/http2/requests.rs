//! From a field block to the handler.

use forebay_signals::clock;
use http::Method;

use super::frame::Code;
use super::head::{Builder, Refusal, RequestHead};
use super::inbound::Fault;
use super::priority::Priority;
use super::stream::{Opening, Progress, Stream};
use super::streams::Streams;
use super::{MAX_STREAMS, upload};
use crate::error::Error;
use crate::exchange::{Body, Exchange, Head, Stamps};
use crate::listen::{Handler, Reply};

/// Heads of full weight that the open streams of a connection may have among them. One entry of a
/// client's table stands for kilobytes in each of them, so small frames make large heads; at a
/// quarter of these bytes each, which is more than browsers send with many cookies, all streams have one.
const MOST_HEADS: usize = MAX_STREAMS as usize / 8;

/// Fields that are decoded beyond what a head may weigh, in heads: a client that is a little over the
/// limit is told so, a bomb ends the connection.
const BOMB: usize = 16;

impl<H: Handler> Streams<H> {
    /// A whole block: a request, or the trailers of one.
    pub(super) fn take_block(
        &mut self,
        id: u32,
        ends: bool,
        is_selfish: bool,
        block: &[u8],
    ) -> Result<(), Fault> {
        let is_open = self.find(id).is_some();
        if !is_open && id <= self.last_stream {
            // §5.1.1: numbers only go up. What was on the way when we reset a stream is let pass, but
            // not undecoded: the tables must agree.
            self.budget.reset()?;
            let fault = if self.was_reset(id) { None } else { Some(Fault(Code::PROTOCOL_ERROR)) };
            return fault.map_or_else(|| self.decode(block).map(drop), Err);
        }
        let builder = self.decode(block)?;
        if is_open {
            return self.take_trailers(id, ends, builder);
        }
        self.last_stream = id;
        self.requests += 1;
        if self.has_said_goaway() {
            return Ok(());
        }
        if is_selfish {
            return self.break_stream(id, Code::PROTOCOL_ERROR);
        }
        let limits = &self.context.settings.http1.limits;
        let weight = builder.weight(limits);
        let most_bytes = limits.head_bytes.saturating_mul(MOST_HEADS);
        if self.open.len() >= MAX_STREAMS as usize || self.head_bytes + weight > most_bytes {
            // Nothing of it was looked at: it may be asked again, whatever its method, once others have
            // ended. No answer could say that: a 431 would be shown to somebody.
            return self.break_stream(id, Code::REFUSED_STREAM);
        }
        match builder.finish(limits) {
            Ok(request) if ends && request.length.is_some_and(|length| length > 0) => {
                self.break_stream(id, Code::PROTOCOL_ERROR)
            }
            Ok(request) => {
                self.begin_request(id, ends, weight, request);
                Ok(())
            }
            Err(Refusal::Malformed) => self.break_stream(id, Code::PROTOCOL_ERROR),
            Err(Refusal::Refused(error, seen)) => {
                self.refuse(id, ends, weight, *seen, error.into());
                Ok(())
            }
        }
    }

    fn decode(&mut self, block: &[u8]) -> Result<Builder, Fault> {
        let limits = &self.context.settings.http1.limits;
        let mut builder = Builder::default();
        let mut bytes = 0;
        let decoded = self.decoder.decode(block, |field, counts| {
            bytes += counts;
            builder.take(field, counts, limits);
        });
        decoded.map_err(|error| {
            tracing::debug!(error = %error, "field block cannot be decoded");
            Fault(Code::COMPRESSION_ERROR)
        })?;
        if bytes > limits.head_bytes.saturating_mul(BOMB) {
            return Err(Fault(Code::ENHANCE_YOUR_CALM));
        }
        Ok(builder)
    }

    fn take_trailers(&mut self, id: u32, ends: bool, builder: Builder) -> Result<(), Fault> {
        let Some(stream) = self.find(id) else { return Ok(()) };
        if stream.has_ended {
            return self.break_stream(id, Code::STREAM_CLOSED);
        }
        // §8.1: a second block ends the message.
        let (Some(trailers), true) = (builder.finish_trailers(), ends) else {
            return self.break_stream(id, Code::PROTOCOL_ERROR);
        };
        self.end_content(id, Some(trailers))
    }

    fn begin_request(&mut self, id: u32, ends: bool, weight: usize, request: RequestHead) {
        let RequestHead { head, length, expects_continue, priority } = request;
        let opening = Opening { id, is_head: head.method == Method::HEAD, priority, weight };
        let (opened, body) = if ends {
            (None, Body::Empty)
        } else {
            let mut stream = self.new_stream(opening);
            let feeder = stream.waker(&self.wakes);
            let settings = &self.context.settings.http1;
            let (feed, body) = upload::open(length, expects_continue, feeder, settings);
            stream.feed = Some(feed);
            stream.has_ended = false;
            (Some(stream), body)
        };
        match (self.context.handler.call(self.exchange(head, body)), opened) {
            // Most requests: one that is answered at once never becomes a stream.
            (Reply::Now(answer), None) => self.answer_at_once(opening, answer),
            (Reply::Now(answer), Some(stream)) => {
                self.open.push(stream);
                self.begin_answer(id, answer);
            }
            (Reply::Later(coming), opened) => {
                let mut stream = opened.unwrap_or_else(|| self.new_stream(opening));
                stream.answer = Progress::Waiting(coming);
                self.open.push(stream);
                self.poll_stream(id);
            }
        }
    }

    pub(super) fn new_stream(&mut self, opening: Opening) -> Stream {
        self.head_bytes += opening.weight;
        Stream::new(opening, self.stream_window, self.context.drain.guard())
    }

    /// Answers a head that cannot be a request of anybody.
    fn refuse(&mut self, id: u32, ends: bool, weight: usize, seen: Head, error: Error) {
        self.context.counters.protocol_errors.increment();
        tracing::debug!(kind = error.facts().label, error = %error, "request refused");
        let is_head = seen.method == Method::HEAD;
        let mut stream =
            self.new_stream(Opening { id, is_head, priority: Priority::default(), weight });
        stream.has_ended = ends;
        self.open.push(stream);
        let exchange = self.exchange(seen, Body::Empty);
        let answer = self.context.handler.refuse(exchange, error);
        self.begin_answer(id, answer);
    }

    fn exchange(&self, head: Head, body: Body) -> Exchange {
        let now = clock::now();
        let mut stamps = Stamps::new(now);
        stamps.read_since(now);
        let client = self.context.client.clone();
        Exchange { id: [b'0'; 32], client, head, body, upgrade: None, stamps }
    }
}
