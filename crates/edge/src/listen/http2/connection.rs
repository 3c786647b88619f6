//! Drives one HTTP/2 connection: socket, deadlines, drain.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Lookout;
use tokio::io::ReadBuf;

use super::frame::Code;
use super::inbound::Fault;
use super::session::Session;
use super::streams::{self, Work};
use crate::listen::Handler;
use crate::listen::blocked::Blocked;
use crate::listen::deadline::Deadline;
use crate::listen::http1::FRESH_GRACE;
use crate::listen::io::{Socket, Stream, linger};
use crate::listen::progress::Progress;
use crate::listen::settings::Settings;

/// Room for one read: a full frame.
pub(super) const READ_BYTES: usize = 16 * 1024;

/// Rounds of reading, working and writing before the other connections of this core have their turn: each
/// is some hundred requests at most, or a full output.
pub(super) const MOST_ROUNDS: u32 = 8;

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

/// Serves one connection to its end.
pub(in crate::listen) async fn serve<S: Stream, H: Handler>(
    socket: Socket<S>,
    context: streams::Context<H>,
) -> End {
    let Socket { io, input, progress, .. } = socket;
    let settings = Arc::clone(&context.settings);
    let first_request = clock::now() + settings.http2_first_request_timeout;
    let linger_limit = settings.http1.linger;
    let drained = context.drain.lookout();
    let mut connection = Connection {
        io,
        progress,
        session: Session::new(context, input),
        settings,
        idle: Deadline::new(first_request),
        seen: 0,
        is_busy: false,
        head: None,
        blocked: None,
        owed: None,
        passing: None,
        going: None,
        drained,
        is_drained: false,
    };
    let end = poll_fn(|context| connection.poll(context)).await;
    connection.session.streams.end(end.code());
    let Connection { mut io, mut session, .. } = connection;
    let last_words = poll_fn(|context| session.streams.output.poll_send(&mut io, context));
    if let Ok(Ok(())) = clock::timeout(linger_limit, last_words).await {
        linger(&mut io, linger_limit).await;
    }
    end
}

struct Connection<S, H> {
    io: S,
    /// What leaves the socket, if TLS stands before it.
    progress: Option<Progress>,
    session: Session<H>,
    settings: Arc<Settings>,
    idle: Deadline,
    /// Requests at the last look.
    seen: u64,
    /// There were streams at the last look.
    is_busy: bool,
    /// Set while part of a head is here: which, and when it must be whole.
    head: Option<(u64, Deadline)>,
    /// Set while the socket is full.
    blocked: Option<Blocked>,
    /// When a client has held content back for too long.
    owed: Option<Deadline>,
    /// When the first stream that lets content pass has done so for long enough.
    passing: Option<Deadline>,
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
        let mut rounds = 0;
        loop {
            rounds += 1;
            self.session.streams.wakes.begin(context.waker());
            let mut is_at_work = self.session.streams.work() == Work::Some;
            if !self.session.streams.output.is_full() {
                is_at_work |= self.session.receive_held()?;
            }
            if !self.session.streams.output.is_full() {
                is_at_work |= self.poll_read(context)?;
            }
            let is_full = self.session.streams.output.is_full();
            let has_had_its_turn = rounds >= MOST_ROUNDS;
            if is_at_work && !is_full && !has_had_its_turn {
                continue;
            }
            let is_sent = match self.session.streams.output.poll_send(&mut self.io, context) {
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
                Poll::Ready(Err(_)) => return Err(End::Closed),
            };
            let goes_on = if is_full { is_sent } else { is_at_work };
            if goes_on && !has_had_its_turn {
                continue;
            }
            if goes_on {
                context.waker().wake_by_ref();
            }
            return Ok(());
        }
    }

    /// True if something came.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(End::Closed),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(End::Closed),
            Poll::Ready(Ok(())) => {
                self.session.receive(buffer.filled())?;
                Ok(true)
            }
        }
    }

    /// What to do after all work.
    fn tend_deadlines(&mut self, context: &mut Context<'_>) -> Step {
        match self.poll_blocked(context) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => return Step::End(End::Stalled),
            Poll::Ready(Ok(())) => return Step::Work,
        }
        if self.are_streams_stalled(context) {
            return match self
                .session
                .streams
                .reset_stalled(self.settings.http1.blocked_write_timeout)
            {
                streams::Left::Nothing => Step::End(End::Stalled),
                streams::Left::Streams => Step::Work,
            };
        }
        if self.is_head_too_slow(context) {
            return Step::End(End::Flood);
        }
        if self.has_passed_long_enough(context) {
            self.session.streams.end_passing(self.settings.http1.linger);
            return Step::Work;
        }
        if !self.is_drained && self.drained.poll_begun(context).is_ready() {
            self.is_drained = true;
            // Accepted in the last moment: its first request may be on the way.
            self.idle.set(self.idle.at().min(clock::now() + FRESH_GRACE));
        }
        let is_idle =
            self.session.streams.open.is_empty() && self.session.streams.output.is_empty();
        let Some(going) = &mut self.going else {
            let is_over = (self.is_drained && self.session.streams.requests > 0)
                || (self.is_idle_too_long(context) && is_idle);
            if !is_over {
                return Step::Wait;
            }
            self.going = Some(Deadline::new(clock::now() + GOING));
            self.session.streams.announce_goaway();
            return Step::Work;
        };
        if !is_idle {
            // What is under way may end in its own time; the client's time begins after it.
            going.set(clock::now() + GOING);
            return Step::Wait;
        }
        if self.session.streams.has_said_goaway() || going.poll_passed(context).is_ready() {
            return Step::End(End::Closed);
        }
        Step::Wait
    }

    fn is_idle_too_long(&mut self, context: &mut Context<'_>) -> bool {
        let is_busy = !self.session.streams.open.is_empty();
        let was_busy = std::mem::replace(&mut self.is_busy, is_busy);
        if self.seen != self.session.streams.requests || is_busy || was_busy {
            self.seen = self.session.streams.requests;
            if self.seen > 0 {
                self.idle.set(clock::now() + self.settings.http1.idle_timeout);
            }
        }
        self.idle.poll_passed(context).is_ready()
    }

    /// A head has its own deadline, however it is cut.
    fn is_head_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let Some(head) = self.session.head() else {
            self.head = None;
            return false;
        };
        if self.head.as_ref().is_none_or(|(known, _)| *known != head) {
            let limit = self.settings.http1.head_timeout;
            self.head = Some((head, Deadline::new(clock::now() + limit)));
        }
        self.head.as_mut().is_some_and(|(_, deadline)| deadline.poll_passed(context).is_ready())
    }

    /// Ready when there is something to do because the client reads nothing though there is something
    /// to read.
    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.session.streams.output.is_blocked() {
            self.blocked = None;
            return Poll::Pending;
        }
        // While the socket is full its progress counts, not that of the streams behind it.
        self.session.streams.pause_patience();
        let limit = self.settings.http1.blocked_write_timeout;
        let given = self.session.streams.output.written();
        let taken = self.progress.as_ref().map_or(given, Progress::bytes);
        let blocked = self.blocked.get_or_insert_with(|| Blocked::new(taken, limit));
        blocked.poll(taken, limit, self.progress.as_ref(), context)
    }

    /// True if a client has held content back by a window for too long.
    fn are_streams_stalled(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.settings.http1.blocked_write_timeout;
        let Some(at) = self.session.streams.patience_ends(limit) else { return false };
        let deadline = self.owed.get_or_insert_with(|| Deadline::new(at));
        deadline.set(at);
        deadline.poll_passed(context).is_ready()
    }

    /// True if content of a stream was let pass as long as a client may take to read our last words.
    fn has_passed_long_enough(&mut self, context: &mut Context<'_>) -> bool {
        if self.session.streams.output.is_blocked() {
            return false;
        }
        let Some(since) = self.session.streams.passing_since() else { return false };
        let at = since + self.settings.http1.linger;
        let deadline = self.passing.get_or_insert_with(|| Deadline::new(at));
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
