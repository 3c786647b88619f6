//! One message of a connection: its content is read while its answer is waited for and written.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use forebay_signals::drain::Drain;
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::begin;
use super::connection::{After, Connection};
use super::content::{self, Content};
use super::head::RequestHead;
use super::write::Fate;
use crate::error::ErrorKind;
use crate::exchange::{Answer, Client};
use crate::listen::blocked::Blocked;
use crate::listen::{Coming, Handler, Reply};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// One message: the handler runs while content is read and the answer is written.
    pub(super) async fn exchange<H: Handler>(
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
        let mut answer = match handler.call(begin(*head, client.clone(), body, self.head_began)) {
            Reply::Now(answer) => answer,
            Reply::Later(coming) => self.wait_for(coming, &mut content).await?,
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
        content.answer_begins();
        let wanted = if lives_on { Fate::KeepAlive } else { Fate::Close };
        let fate = self.writer.begin(answer, is_head, version, wanted);
        self.flush(&mut content).await?;
        if fate == Fate::Close || !self.pass_by(&mut content).await {
            return Ok(After::Close);
        }
        Ok(After::NextMessage)
    }

    /// Waits for the answer while content goes on being read; an error if the client leaves meanwhile.
    async fn wait_for(&mut self, mut coming: Coming, content: &mut Content) -> io::Result<Answer> {
        poll_fn(|context| {
            if let Poll::Ready(answer) = self.poll_coming(&mut coming, context)? {
                return Poll::Ready(Ok(answer));
            }
            // A failed read of content is told to whoever reads the body, not to this loop.
            if self.poll_content(content, context).is_err() {
                content.fail(ErrorKind::ClientGone, "connection broke inside the content");
            }
            // What was read, or the lack of it, may be what the handler waits for.
            if let Poll::Ready(answer) = self.poll_coming(&mut coming, context)? {
                return Poll::Ready(Ok(answer));
            }
            self.poll_left(context).map(Err)
        })
        .await
    }

    /// Looks for the answer, and tells the client what is known before it.
    fn poll_coming(
        &mut self,
        coming: &mut Coming,
        context: &mut Context<'_>,
    ) -> io::Result<Poll<Answer>> {
        if let Poll::Ready(answer) = coming.poll_answer(context) {
            while let Some(lines) = coming.next_hint_before_answer() {
                self.writer.push_hint(&lines);
            }
            return Ok(Poll::Ready(answer));
        }
        while let Poll::Ready(lines) = coming.poll_hint(context) {
            self.writer.push_hint(&lines);
        }
        if self.writer.has_bytes() {
            // Pending is fine: the rest goes out before the answer.
            let _is_pending = self.poll_write(context)?.is_pending();
        }
        Ok(Poll::Pending)
    }

    /// Ready once the client has left: whatever is done for it alone is given up, above all the place at
    /// the origin. What it sends ahead is kept, as much as a head may weigh; then nothing is read.
    ///
    /// A half-closed connection counts as left. From here it looks the same as one that is closed, which
    /// is how clients leave: a reset comes only when something is written to them. Nearly every server
    /// takes it so; whoever shuts down its half at once (`nc -N`) gets what is at hand, and nothing that
    /// must be waited for.
    ///
    /// Beyond that, and behind an upload that nobody reads, it is not seen leaving before the answer is
    /// written. The runtime holds a socket with unread bytes for readable and wakes nobody when it is
    /// closed as well; to take that mark away would lose the wake of the next true read. A second
    /// descriptor of the socket, registered by itself, would tell, at the price of twice the
    /// descriptors for whoever sends enough; the deadlines of the origin bound the wait already.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while !self.at_end {
            if self.input.len() >= self.settings.limits.head_bytes {
                return Poll::Pending;
            }
            if let Err(error) = ready!(self.poll_read(context)) {
                return Poll::Ready(error);
            }
        }
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }

    /// Writes all of the answer while content goes on being read.
    pub(super) async fn flush(&mut self, content: &mut Content) -> io::Result<()> {
        let limit = self.settings.blocked_write_timeout;
        let mut blocked: Option<Blocked> = None;
        poll_fn(|context| {
            loop {
                if self.poll_write(context)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if self.poll_content(content, context).is_err() {
                    content.fail(ErrorKind::ClientGone, "connection broke inside the content");
                }
                if !self.writer.is_blocked() {
                    // The answer's source is quiet, and a quiet origin is never the client's fault.
                    blocked = None;
                    return self.poll_left(context).map(Err);
                }
                let taken = self.taken();
                let blocked = blocked.get_or_insert_with(|| Blocked::new(taken, limit));
                ready!(blocked.poll(taken, limit, self.progress.as_ref(), context))?;
            }
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
                let _is_pending = self.poll_write(context)?.is_pending();
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
}
