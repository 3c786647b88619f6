//! One client connection: requests in order, answers in order, every wait with a deadline.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::{Drain, Lookout};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::content::{self, Content};
use super::head::{HeadParser, RequestHead};
use super::write::{Fate, Writer};
use super::{Settings, begin};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Client, Upgraded};
use crate::listen::deadline::Deadline;
use crate::listen::io::linger;
use crate::listen::{Coming, Handler, Reply, refusal};

/// Room for one read; a head beyond it grows the buffer up to its limit.
const READ_BYTES: usize = 8 * 1024;
/// Time that a connection without a request has for its first one when a drain begins.
pub(crate) const FRESH_GRACE: Duration = Duration::from_secs(1);

/// What is left of a connection after its last message.
pub enum End<S> {
    /// Nothing: it is closed.
    Closed,
    /// Nothing: a message was refused with this kind, and the connection is closed.
    Refused(ErrorKind),
    /// The answer was `101`: the stream, what was read past the request, and where to tunnel to.
    Upgraded(S, BytesMut, Upgraded),
}

struct Connection<S> {
    io: S,
    input: BytesMut,
    at_end: bool,
    /// No request has come yet: a drain still waits a moment for it.
    is_fresh: bool,
    /// A drain has begun, and this connection knows.
    is_drained: bool,
    writer: Writer,
    settings: Arc<Settings>,
}

/// Serves one connection to its end. Errors of the socket end it silently: the other side is gone.
/// `input` is what was read from it before.
pub async fn serve<S, H>(
    io: S,
    input: BytesMut,
    client: Client,
    settings: Arc<Settings>,
    handler: H,
    drain: Drain,
) -> io::Result<End<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let mut connection = Connection {
        io,
        input,
        at_end: false,
        is_fresh: true,
        is_drained: false,
        writer: Writer::default(),
        settings,
    };
    let mut deadline = Deadline::new(clock::now() + connection.settings.head_timeout);
    let mut drained = drain.lookout();
    let mut end = End::Closed;
    loop {
        let head = match connection.next_head(&mut deadline, &mut drained).await? {
            Next::Head(head) => head,
            Next::Quiet => break,
            Next::Refused(error) => {
                connection.refuse(&error).await?;
                end = End::Refused(error.kind());
                break;
            }
        };
        let _guard = drain.guard();
        match connection.exchange(head, &client, &handler, &drain).await? {
            After::NextMessage => {}
            After::Close => break,
            After::Upgrade(upgrade) => {
                return Ok(End::Upgraded(connection.io, connection.input, upgrade));
            }
        }
        deadline.set(clock::now() + connection.settings.idle_timeout);
    }
    linger(&mut connection.io, connection.settings.linger).await;
    Ok(end)
}

enum Next {
    Head(Box<RequestHead>),
    /// Nothing came, or it ended between messages: close without a word.
    Quiet,
    Refused(Error),
}

enum After {
    NextMessage,
    Close,
    Upgrade(Upgraded),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn next_head(
        &mut self,
        deadline: &mut Deadline,
        drained: &mut Lookout,
    ) -> io::Result<Next> {
        let mut parser = HeadParser::default();
        let mut has_begun = false;
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
        }
        loop {
            if !self.input.is_empty() {
                let limits = self.settings.limits;
                match parser.take(&mut self.input, &limits) {
                    Ok(Some(head)) => {
                        self.is_fresh = false;
                        return Ok(Next::Head(Box::new(head)));
                    }
                    Ok(None) => {}
                    Err(error) => return Ok(Next::Refused(error.into())),
                }
                if !has_begun {
                    // Idle time ends with the first byte; from here the head has its own deadline.
                    has_begun = true;
                    deadline.set(clock::now() + self.settings.head_timeout);
                }
            }
            if self.at_end {
                return Ok(Next::Quiet);
            }
            let read = poll_fn(|context| {
                if let Poll::Ready(read) = self.poll_read(context) {
                    return Poll::Ready(Some(read));
                }
                if !has_begun && !self.is_drained && drained.poll_begun(context).is_ready() {
                    self.is_drained = true;
                    // Accepted in the last moment: its request may be on the way. One that has
                    // been served before knows that an idle connection may close.
                    let grace = if self.is_fresh { FRESH_GRACE } else { Duration::ZERO };
                    deadline.set(deadline.at().min(clock::now() + grace));
                }
                deadline.poll_passed(context).map(|()| None)
            });
            match read.await {
                Some(read) => read?,
                None if has_begun => {
                    let error = Error::new(ErrorKind::ClientTimeout, "head not complete in time");
                    return Ok(Next::Refused(error));
                }
                None => return Ok(Next::Quiet),
            }
        }
    }

    /// One message: the handler runs while content is read and the answer is written.
    async fn exchange<H: Handler>(
        &mut self,
        head: Box<RequestHead>,
        client: &Client,
        handler: &H,
        drain: &Drain,
    ) -> io::Result<After> {
        let is_head = head.method == Method::HEAD;
        let version = head.version;
        let head_keeps_alive = head.keeps_alive;
        let (mut content, body) =
            content::open(head.framing, head.expects_continue, &self.settings);
        let mut answer = match handler.call(begin(*head, client.clone(), body)) {
            Reply::Now(answer) => answer,
            Reply::Later(coming) => self.wait_for(coming, &mut content).await,
        };
        if answer.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upgrade) = answer.upgrade.take()
        {
            self.writer.begin_upgrade(&answer);
            self.flush(&mut content).await?;
            return Ok(After::Upgrade(upgrade));
        }
        // What the handler left unread must still pass by, or the next head would be content.
        let lives_on = head_keeps_alive && content.can_finish() && !drain.has_begun();
        let wanted = if lives_on { Fate::KeepAlive } else { Fate::Close };
        let fate = self.writer.begin(answer, is_head, version, wanted);
        self.flush(&mut content).await?;
        if fate == Fate::Close || !self.pass_by(&mut content).await {
            return Ok(After::Close);
        }
        Ok(After::NextMessage)
    }

    /// Waits for the answer while content goes on being read.
    async fn wait_for(&mut self, mut coming: Coming, content: &mut Content) -> Answer {
        poll_fn(|context| {
            if let Poll::Ready(answer) = coming.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            // A failed read of content is told to whoever reads the body, not to this loop.
            if self.poll_content(content, context).is_err() {
                content.fail(ErrorKind::ClientGone, "connection broke inside the content");
            }
            // What was read, or the lack of it, may be what the handler waits for.
            coming.as_mut().poll(context)
        })
        .await
    }

    /// Writes all of the answer while content goes on being read.
    async fn flush(&mut self, content: &mut Content) -> io::Result<()> {
        let limit = self.settings.blocked_write_timeout;
        let mut blocked: Option<(u64, Deadline)> = None;
        poll_fn(|context| {
            if self.writer.poll_write(&mut self.io, context)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if self.poll_content(content, context).is_err() {
                content.fail(ErrorKind::ClientGone, "connection broke inside the content");
            }
            if !self.writer.is_blocked() {
                // The answer's source is quiet, and a quiet origin is never the client's fault.
                blocked = None;
                return Poll::Pending;
            }
            let written = self.writer.written();
            if blocked.as_ref().is_none_or(|(at, _)| *at != written) {
                blocked = Some((written, Deadline::new(clock::now() + limit)));
            }
            if let Some((_, deadline)) = &mut blocked {
                ready!(deadline.poll_passed(context));
            }
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Reads content that nobody wants any more, a little; false if the connection must close.
    async fn pass_by(&mut self, content: &mut Content) -> bool {
        content.discard();
        let settled = poll_fn(|context| match self.poll_content(content, context) {
            Ok(Poll::Ready(())) => Poll::Ready(true),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(false),
        });
        settled.await && content.is_done()
    }

    /// Moves content from the socket to its reader; ready when there is nothing left to do.
    fn poll_content(
        &mut self,
        content: &mut Content,
        context: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        loop {
            if content.is_settled() {
                return Ok(Poll::Ready(()));
            }
            if content.takes_continue() {
                self.writer.push_continue();
                // Pending is fine: the rest goes out before the answer.
                let _is_pending = self.writer.poll_write(&mut self.io, context)?.is_pending();
            }
            match content.poll_deliver(&mut self.input, context) {
                Poll::Ready(content::Step::Settled) => return Ok(Poll::Ready(())),
                Poll::Ready(content::Step::NeedsInput) => {}
                Poll::Pending => return Ok(Poll::Pending),
            }
            match self.poll_read(context) {
                Poll::Ready(Ok(())) if self.at_end => {
                    content.fail(ErrorKind::ClientGone, "content ended early");
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    if content.poll_too_slow(context).is_ready() {
                        content.fail(ErrorKind::ClientTimeout, "content arrives too slowly");
                        return Ok(Poll::Ready(()));
                    }
                    return Ok(Poll::Pending);
                }
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Read beside the buffer and copied: a connection that waits holds none.
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        self.at_end = buffer.filled().is_empty();
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    async fn refuse(&mut self, error: &Error) -> io::Result<()> {
        let facts = error.facts();
        tracing::debug!(kind = facts.label, error = %error, "request refused");
        let answer = refusal(error);
        self.writer.begin(answer, false, http::Version::HTTP_11, Fate::Close);
        self.flush(&mut Content::none()).await
    }
}
