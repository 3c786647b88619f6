//! One client connection: requests in order, answers in order, every wait with a deadline.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::{Drain, Lookout};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::content::Content;
use super::glimpse::glimpse;
use super::head::{HeadParser, RequestHead};
use super::write::{Fate, Writer};
use super::{Settings, begin_refused};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Client, Head, Upgraded};
use crate::listen::Handler;
use crate::listen::deadline::Deadline;
use crate::listen::io::{SendFile, Socket, linger};
use crate::listen::progress::Progress;

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

pub(super) struct Connection<S> {
    pub(super) io: S,
    pub(super) input: BytesMut,
    pub(super) at_end: bool,
    /// No request has come yet: a drain still waits a moment for it.
    is_fresh: bool,
    /// A drain has begun, and this connection knows.
    is_drained: bool,
    /// First byte of the head that is read, if it did not come in one piece.
    pub(super) head_began: Option<Instant>,
    pub(super) writer: Writer,
    pub(super) progress: Option<Progress>,
    send_file: Option<SendFile<S>>,
    pub(super) settings: Arc<Settings>,
}

/// Serves one connection to its end. Errors of the socket end it silently: the other side is gone.
pub async fn serve<S, H>(
    socket: Socket<S>,
    client: Client,
    settings: Arc<Settings>,
    handler: H,
    drain: Drain,
) -> io::Result<End<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let Socket { io, input, progress, send_file } = socket;
    let mut connection = Connection {
        io,
        input,
        at_end: false,
        is_fresh: true,
        is_drained: false,
        head_began: None,
        writer: Writer::default(),
        progress,
        send_file,
        settings,
    };
    let mut deadline = Deadline::new(clock::now() + connection.settings.head_timeout);
    let mut drained = drain.lookout();
    let mut end = End::Closed;
    loop {
        let head = match connection.next_head(&mut deadline, &mut drained).await? {
            Next::Head(head) => head,
            Next::Quiet => break,
            Next::Refused(error, seen) => {
                end = End::Refused(error.kind());
                let refused = begin_refused(*seen, client.clone(), connection.head_began);
                connection.refuse(handler.refuse(refused, error)).await?;
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
    /// Why, and what can be told of it.
    Refused(Error, Box<Head>),
}

/// What follows a message.
pub(super) enum After {
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
        self.head_began = None;
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
                    Err(error) => {
                        let seen = glimpse(parser.refused().unwrap_or(&self.input));
                        return Ok(Next::Refused(error.into(), Box::new(seen)));
                    }
                }
                if self.head_began.is_none() {
                    // Idle time ends with the first byte; from here the head has its own deadline.
                    let now = clock::now();
                    self.head_began = Some(now);
                    deadline.set(now + self.settings.head_timeout);
                }
            }
            if self.at_end {
                return Ok(Next::Quiet);
            }
            let has_begun = self.head_began.is_some();
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
                    return Ok(Next::Refused(error, Box::new(glimpse(&self.input))));
                }
                None => return Ok(Next::Quiet),
            }
        }
    }

    /// Bytes that the client's socket has taken.
    pub(super) fn taken(&self) -> u64 {
        self.progress.as_ref().map_or_else(|| self.writer.written(), Progress::bytes)
    }

    /// Writes what the writer has; see [`Writer::poll_write`].
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_write(&mut self.io, self.send_file, context)
    }

    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Read beside the buffer and copied: a connection that waits holds none.
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        self.at_end = buffer.filled().is_empty();
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    async fn refuse(&mut self, answer: Answer) -> io::Result<()> {
        self.writer.begin(answer, false, http::Version::HTTP_11, Fate::Close);
        self.flush(&mut Content::none()).await
    }
}
