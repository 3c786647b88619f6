//! A request as HTTP/1 bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;

use crate::error::{Error, ErrorKind};
use crate::http1::Framing;
use crate::origin::message::Outgoing;
use crate::origin::upload::Upload;

/// A usual head in one allocation.
const HEAD_ROOM: usize = 1024;
/// A head's buffer that is kept for the next request; larger ones were an exception.
const MOST_KEPT: usize = 4 * 1024;

/// Why a request was not sent whole.
pub(super) enum Unsendable {
    /// The connection.
    Io(io::Error),
    /// Its content, which broke off.
    Content(Error),
}

/// Turns a request into writes.
#[derive(Default)]
pub(super) struct Sending {
    head: Vec<u8>,
    /// How much of `head` is written.
    written: usize,
    data: Bytes,
    tail: &'static [u8],
    content: Option<Content>,
    state: State,
    has_written: bool,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    Under,
    /// Never to be completed.
    GivenUp,
}

struct Content {
    upload: Upload,
    framing: Framing,
    trailers: Vec<HeaderName>,
    was_read: bool,
}

impl Sending {
    /// Takes a request. A streamed content moves out of it, a whole one is shared.
    pub(super) fn begin(&mut self, outgoing: &mut Outgoing) {
        self.head.clear();
        if self.head.capacity() > MOST_KEPT {
            self.head = Vec::new();
        }
        self.head.reserve(HEAD_ROOM);
        (self.written, self.has_written, self.state) = (0, false, State::Under);
        let framing = outgoing.write_head(&mut self.head);
        if let Some(upload) = outgoing.stream() {
            let trailers = outgoing.announced_trailers();
            self.content = Some(Content { upload, framing, trailers, was_read: false });
        } else {
            self.data = outgoing.whole();
        }
    }

    /// True once everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True if all that came is written and the client is to send more.
    pub(super) fn waits_for_client(&self) -> bool {
        self.state == State::Under && self.content.is_some() && !self.has_bytes()
    }

    /// Nobody reads it any more: what is left is not sent.
    pub(super) fn give_up(&mut self) {
        self.state = State::GivenUp;
        self.content = None;
        self.data = Bytes::new();
    }

    /// Gives a streamed content back if nothing of the request was sent or read.
    pub(super) fn take_back(&mut self, outgoing: &mut Outgoing) -> bool {
        if self.has_written {
            return false;
        }
        match self.content.take() {
            Some(content) if content.was_read => false,
            Some(content) => {
                outgoing.put_back(content.upload);
                true
            }
            None => true,
        }
    }

    /// Writes what there is; ready when the request is complete and flushed, or never will be.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Unsendable>> {
        while self.state == State::Under {
            // The first content is asked for before the head is written: they share a packet.
            if self.data.is_empty() && self.tail.is_empty() && self.content.is_some() {
                let is_quiet = self.poll_content(context)?.is_pending();
                if is_quiet && !self.has_bytes() {
                    ready!(Pin::new(&mut *io).poll_flush(context)).map_err(Unsendable::Io)?;
                    return Poll::Pending;
                }
            }
            if self.has_bytes() {
                ready!(self.poll_bytes(io, context)).map_err(Unsendable::Io)?;
            } else if self.content.is_none() {
                ready!(Pin::new(&mut *io).poll_flush(context)).map_err(Unsendable::Io)?;
                // Whoever shares the bytes must not hold them for longer than they are needed.
                self.data = Bytes::new();
                self.state = State::Done;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_bytes(&self) -> bool {
        self.written < self.head.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    fn poll_bytes<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let head = self.head.get(self.written..).unwrap_or_default();
        let count = if self.data.is_empty() && self.tail.is_empty() {
            ready!(Pin::new(io).poll_write(context, head))?
        } else {
            let slices = [IoSlice::new(head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            ready!(Pin::new(io).poll_write_vectored(context, &slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.has_written = true;
        let of_head = count.min(head.len());
        self.written += of_head;
        let of_data = (count - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = self.tail.get(count - of_head - of_data..).unwrap_or_default();
        Poll::Ready(Ok(()))
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Unsendable> {
        let Some(content) = &mut self.content else { return Ok(Poll::Ready(())) };
        let frame = match Pin::new(&mut content.upload).poll_frame(context) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(frame) => frame.transpose().map_err(Unsendable::Content)?,
        };
        content.was_read = true;
        match frame.map(Frame::into_data) {
            Some(Ok(data)) => self.take_data(data)?,
            Some(Err(frame)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                self.finish(&trailers)?;
            }
            None => self.finish(&HeaderMap::new())?,
        }
        Ok(Poll::Ready(()))
    }

    fn take_data(&mut self, data: Bytes) -> Result<(), Unsendable> {
        let Some(content) = &mut self.content else { return Ok(()) };
        match &mut content.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(other_length)?;
            }
            // An empty chunk would end the content.
            _ if data.is_empty() => return Ok(()),
            _ => {
                self.begin_line();
                self.head.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.tail = b"\r\n";
            }
        }
        self.data = data;
        Ok(())
    }

    fn finish(&mut self, trailers: &HeaderMap) -> Result<(), Unsendable> {
        let Some(content) = self.content.take() else { return Ok(()) };
        if let Framing::Length(left) = content.framing {
            return if left == 0 { Ok(()) } else { Err(other_length()) };
        }
        self.begin_line();
        self.head.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            // RFC 9110 §6.5.1: only what the head announces may be merged by whoever reads it.
            if content.trailers.contains(name) {
                line(&mut self.head, name.as_str(), value.as_bytes());
            }
        }
        self.head.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Chunk sizes take the place of what is written of the head.
    fn begin_line(&mut self) {
        if self.written == self.head.len() {
            self.head.clear();
            self.written = 0;
        }
    }
}

/// Appends `name: value`.
pub(in crate::origin) fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn other_length() -> Unsendable {
    let detail = "content of another length than announced";
    Unsendable::Content(Error::new(ErrorKind::Internal, detail))
}
