//! Drives one HTTP/2 connection: socket, deadlines, drain.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use forebay_signals::clock;
use forebay_signals::drain::{Drain, Lookout};
use tokio::io::ReadBuf;

use super::engine::{self, Engine, Work};
use super::frame::Code;
use super::inbound::{Fault, Inbound};
use crate::exchange::Client;
use crate::listen::deadline::Deadline;
use crate::listen::http1::FRESH_GRACE;
use crate::listen::io::{Stream, linger};
use crate::listen::settings::Settings;
use crate::listen::{Counters, Handler};

/// Room for one read: a full frame.
const READ_BYTES: usize = 16 * 1024;

/// Bytes that a block may have before it is decoded, in heads: it is never longer than what it stands for.
const LONGEST_BLOCK: usize = 2;

/// Time that a client has to answer our GOAWAY and go.
const GOING: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) enum End {
    /// Either side had enough, or the socket broke.
    Closed,
    /// The client broke the protocol; it got a GOAWAY with this code.
    Protocol(Code),
    /// It made us work for nothing.
    Flood,
    /// It did not take what it asked for.
    Stalled,
}

impl From<Fault> for End {
    fn from(Fault(code): Fault) -> End {
        match code {
            Code::NO_ERROR => End::Closed,
            Code::ENHANCE_YOUR_CALM => End::Flood,
            code => End::Protocol(code),
        }
    }
}

impl End {
    fn code(self) -> Code {
        match self {
            End::Closed => Code::NO_ERROR,
            End::Protocol(code) => code,
            End::Flood | End::Stalled => Code::ENHANCE_YOUR_CALM,
        }
    }
}

/// Serves one connection to its end. `input` is what was read from it before.
pub(in crate::listen) async fn serve<S: Stream, H: Handler>(
    io: S,
    input: BytesMut,
    client: Client,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    handler: H,
    drain: Drain,
) -> End {
    let first_request = clock::now() + settings.http2_first_request_timeout;
    let head_bytes = settings.http1.limits.head_bytes;
    let linger_limit = settings.http1.linger;
    let drained = drain.lookout();
    let context =
        engine::Context { client, settings: Arc::clone(&settings), counters, handler, drain };
    let mut connection = Connection {
        io,
        input,
        inbound: Inbound::new(head_bytes.saturating_mul(LONGEST_BLOCK)),
        engine: Engine::new(context),
        settings,
        idle: Deadline::new(first_request),
        seen: 0,
        head: None,
        blocked: None,
        owed: None,
        going: None,
        drained,
        is_drained: false,
    };
    let end = poll_fn(|context| connection.poll(context)).await;
    connection.engine.end(end.code());
    let Connection { mut io, mut engine, .. } = connection;
    let last_words = poll_fn(|context| engine.output.poll_send(&mut io, context));
    if let Ok(Ok(())) = clock::timeout(linger_limit, last_words).await {
        linger(&mut io, linger_limit).await;
    }
    end
}

struct Connection<S, H> {
    io: S,
    /// Read and not taken yet: part of a frame, or what waits until the output is not full.
    input: BytesMut,
    inbound: Inbound,
    engine: Engine<H>,
    settings: Arc<Settings>,
    idle: Deadline,
    /// Requests at the last look.
    seen: u64,
    /// Set while part of a frame or of a field block is here.
    head: Option<Deadline>,
    /// Bytes that the socket had taken when it was full, and when it must have taken more.
    blocked: Option<(u64, Deadline)>,
    /// When the first stream that waits for a window has waited too long.
    owed: Option<Deadline>,
    /// Set once GOAWAY was said.
    going: Option<Deadline>,
    drained: Lookout,
    is_drained: bool,
}

impl<S: Stream, H: Handler> Connection<S, H> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Err(end) = self.work(context) {
                return Poll::Ready(end);
            }
            match self.tend_deadlines(context) {
                Step::Wait => return Poll::Pending,
                Step::Work => {}
                Step::End(end) => return Poll::Ready(end),
            }
        }
    }

    /// Reads, works and writes until each of them has to wait. What is made meanwhile leaves in one
    /// write.
    fn work(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        loop {
            self.engine.wakes.begin(context.waker());
            let mut is_at_work = self.engine.work() == Work::Some;
            if !self.engine.output.is_full() {
                is_at_work |= self.receive_held()?;
            }
            if !self.engine.output.is_full() {
                is_at_work |= self.poll_read(context)?;
            }
            let is_full = self.engine.output.is_full();
            if is_at_work && !is_full {
                continue;
            }
            match self.engine.output.poll_send(&mut self.io, context) {
                Poll::Ready(Ok(())) if is_full => {}
                Poll::Ready(Ok(())) | Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(End::Closed),
            }
        }
    }

    /// Takes what was read before; true if it was anything.
    fn receive_held(&mut self) -> Result<bool, End> {
        if self.input.is_empty() {
            return Ok(false);
        }
        let input = std::mem::take(&mut self.input);
        let taken = self.receive(&input);
        self.input = input;
        let taken = taken?;
        self.input.advance(taken);
        if self.input.is_empty() {
            // A connection that waits holds no buffer.
            self.input = BytesMut::new();
        }
        Ok(taken > 0)
    }

    /// True if something came.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(_)) => return Err(End::Closed),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Err(End::Closed),
            Poll::Ready(Ok(())) => {}
        }
        if self.input.is_empty() {
            let taken = self.receive(buffer.filled())?;
            self.input.extend_from_slice(buffer.filled().get(taken..).unwrap_or_default());
        } else {
            self.input.extend_from_slice(buffer.filled());
            self.receive_held()?;
        }
        Ok(true)
    }

    /// Takes events from `bytes` until they end or the output is full; says how many it took.
    fn receive(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while !self.engine.output.is_full()
            && let Some((event, taken)) = self.inbound.next(bytes.get(at..).unwrap_or_default())?
        {
            self.engine.take(event)?;
            at += taken;
        }
        self.inbound.tidy();
        Ok(at)
    }

    /// What to do after all work.
    fn tend_deadlines(&mut self, context: &mut Context<'_>) -> Step {
        if self.is_socket_stalled(context) {
            return Step::End(End::Stalled);
        }
        if self.are_streams_stalled(context) {
            return match self.engine.reset_stalled(self.settings.http1.blocked_write_timeout) {
                engine::Left::Nothing => Step::End(End::Stalled),
                engine::Left::Streams => Step::Work,
            };
        }
        if self.is_head_too_slow(context) {
            return Step::End(End::Flood);
        }
        if !self.is_drained && self.drained.poll_begun(context).is_ready() {
            self.is_drained = true;
            // Accepted in the last moment: its first request may be on the way.
            self.idle.set(self.idle.at().min(clock::now() + FRESH_GRACE));
        }
        let is_idle = self.engine.streams.is_empty() && self.engine.output.is_empty();
        let Some(going) = &mut self.going else {
            let is_over = (self.is_drained && self.engine.requests > 0)
                || (self.is_idle_too_long(context) && is_idle);
            if !is_over {
                return Step::Wait;
            }
            self.going = Some(Deadline::new(clock::now() + GOING));
            self.engine.announce_goaway();
            return Step::Work;
        };
        if !is_idle {
            // What is under way may end in its own time; the client's time begins after it.
            going.set(clock::now() + GOING);
            return Step::Wait;
        }
        if self.engine.has_said_goaway() || going.poll_passed(context).is_ready() {
            return Step::End(End::Closed);
        }
        Step::Wait
    }

    fn is_idle_too_long(&mut self, context: &mut Context<'_>) -> bool {
        if self.seen != self.engine.requests || !self.engine.streams.is_empty() {
            self.seen = self.engine.requests;
            if self.seen > 0 {
                self.idle.set(clock::now() + self.settings.http1.idle_timeout);
            }
        }
        self.idle.poll_passed(context).is_ready()
    }

    /// A head has its own deadline, however it is cut.
    fn is_head_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let is_open =
            self.inbound.is_in_block() || (!self.input.is_empty() && !self.engine.output.is_full());
        if !is_open {
            self.head = None;
            return false;
        }
        let limit = self.settings.http1.head_timeout;
        let deadline = self.head.get_or_insert_with(|| Deadline::new(clock::now() + limit));
        deadline.poll_passed(context).is_ready()
    }

    /// True if the client reads nothing though there is something to read.
    fn is_socket_stalled(&mut self, context: &mut Context<'_>) -> bool {
        if !self.engine.output.is_blocked() {
            self.blocked = None;
            return false;
        }
        // While the socket is full its progress counts, not that of the streams behind it.
        self.engine.unblock_streams();
        let limit = self.settings.http1.blocked_write_timeout;
        let written = self.engine.output.written();
        if self.blocked.as_ref().is_none_or(|(at, _)| *at != written) {
            self.blocked = Some((written, Deadline::new(clock::now() + limit)));
        }
        let blocked = self.blocked.as_mut();
        blocked.is_some_and(|(_, deadline)| deadline.poll_passed(context).is_ready())
    }

    /// True if a stream has had content and no window for too long.
    fn are_streams_stalled(&mut self, context: &mut Context<'_>) -> bool {
        let Some(since) = self.engine.blocked_since() else { return false };
        let at = since + self.settings.http1.blocked_write_timeout;
        let deadline = self.owed.get_or_insert_with(|| Deadline::new(at));
        deadline.set(at);
        deadline.poll_passed(context).is_ready()
    }
}

/// What follows from the deadlines.
enum Step {
    /// Every waker is in place.
    Wait,
    /// There is something to send.
    Work,
    End(End),
}
