//! An answer as HTTP/1 bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;
use tokio::task::coop::poll_proceed;

use crate::exchange::{Answer, Body, BoxedBody, Lent, Twin};
use crate::listen::io::SendFile;

/// Content up to this size is copied behind the head: one plain write costs less than a gathering one.
const FLAT_BYTES: usize = 4 * 1024;

/// Room for what stands in a head besides stored and own lines, so that a hit's head grows once.
const ROOM_BYTES: usize = 96;

/// Content below this size is copied: to send it from a file costs a call of its own.
const WORTH_SENDING: usize = 32 * 1024;

const CRLF: Bytes = Bytes::from_static(b"\r\n");

/// Where the answer's content ends for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    AfterLength(u64),
    Chunked,
    WithConnection,
}

/// What happens to the connection after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    KeepAlive,
    Close,
}

/// Turns answers into bytes and bytes into writes.
#[derive(Default)]
pub(super) struct Writer {
    head: BytesMut,
    data: Bytes,
    tail: Bytes,
    source: Option<(BoxedBody, Ends)>,
    /// A second copy of what `data` may be a piece of.
    twin: Option<Lent>,
    written: u64,
    is_blocked: bool,
}

impl Writer {
    /// Bytes handed to the socket so far; grows while the client takes them.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// True if the last poll ended because the client does not take more.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// `100 Continue`, before any answer has begun.
    pub(super) fn push_continue(&mut self) {
        self.head.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// `103 Early Hints` with these field lines, before any answer has begun.
    pub(super) fn push_hint(&mut self, lines: &[u8]) {
        status_line(&mut self.head, StatusCode::EARLY_HINTS);
        self.head.extend_from_slice(lines);
        self.head.extend_from_slice(b"\r\n");
    }

    /// Takes the head of a `101`.
    pub(super) fn begin_upgrade(&mut self, answer: &Answer) {
        status_line(&mut self.head, answer.status);
        self.head.extend_from_slice(b"connection: upgrade\r\n");
        self.head.extend_from_slice(&answer.lines);
        field_lines(&mut self.head, &answer.fields);
        self.head.extend_from_slice(answer.own.as_bytes());
        self.head.extend_from_slice(b"\r\n");
    }

    /// Takes an answer; says whether the connection can live on after it.
    pub(super) fn begin(
        &mut self,
        answer: Answer,
        is_head: bool,
        version: Version,
        wanted: Fate,
    ) -> Fate {
        let Answer { status, lines, fields, own, body, twin, .. } = answer;
        let has_no_content = status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || status.is_informational();
        let (ends, fate) = match body.size_hint().exact() {
            Some(length) => (Ends::AfterLength(length), wanted),
            None if version == Version::HTTP_11 => (Ends::Chunked, wanted),
            None if is_head || has_no_content => (Ends::Chunked, wanted),
            None => (Ends::WithConnection, Fate::Close),
        };
        let flat = match &body {
            Body::Whole(bytes) if bytes.len() <= FLAT_BYTES => bytes.len(),
            _ => 0,
        };
        self.head.reserve(lines.len() + own.as_bytes().len() + flat + ROOM_BYTES);
        status_line(&mut self.head, status);
        self.head.extend_from_slice(&lines);
        field_lines(&mut self.head, &fields);
        self.head.extend_from_slice(own.as_bytes());
        match ends {
            // RFC 9110 §8.6: none on 204 and 1xx; on HEAD and 304 the origin's own, if it sent one.
            _ if has_no_content || is_head => {
                if let Some(length) = fields.get(CONTENT_LENGTH)
                    && status != StatusCode::NO_CONTENT
                {
                    self.line(b"content-length: ", length.as_bytes());
                }
            }
            Ends::AfterLength(length) => {
                self.line(b"content-length: ", itoa::Buffer::new().format(length).as_bytes());
            }
            Ends::Chunked => self.line(b"transfer-encoding: ", b"chunked"),
            Ends::WithConnection => {}
        }
        match fate {
            Fate::Close => self.line(b"connection: ", b"close"),
            Fate::KeepAlive if version == Version::HTTP_10 => {
                self.line(b"connection: ", b"keep-alive");
            }
            Fate::KeepAlive => {}
        }
        self.head.extend_from_slice(b"\r\n");
        if twin.is_some() {
            self.twin = twin;
        }
        if !(is_head || has_no_content) {
            match body {
                Body::Empty => {}
                Body::Whole(bytes) if bytes.len() <= FLAT_BYTES => {
                    self.head.extend_from_slice(&bytes);
                }
                Body::Whole(bytes) => self.data = bytes,
                Body::Stream(stream) => self.source = Some((stream, ends)),
            }
        }
        fate
    }

    /// Writes what there is; ready when the answer is complete and flushed. An answer that breaks
    /// off is an error: the connection must close so that the client sees it is not whole.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        send_file: Option<SendFile<S>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_blocked = false;
        loop {
            // The first content is asked for before the head is written: they share a packet.
            if self.data.is_empty() && self.tail.is_empty() && self.source.is_some() {
                let is_quiet = self.poll_source(context)?.is_pending();
                if is_quiet && self.head.is_empty() {
                    self.is_blocked = Pin::new(io).poll_flush(context)?.is_pending();
                    return Poll::Pending;
                }
            }
            if !self.has_bytes() {
                if self.source.is_some() {
                    continue;
                }
                self.is_blocked = true;
                ready!(Pin::new(io).poll_flush(context))?;
                self.is_blocked = false;
                // Its descriptor may be wanted for others.
                drop(self.twin.take());
                return Poll::Ready(Ok(()));
            }
            self.is_blocked = true;
            ready!(self.poll_bytes(io, send_file, context))?;
            self.is_blocked = false;
        }
    }

    /// True while there is something to write that lies here.
    pub(super) fn has_bytes(&self) -> bool {
        !(self.head.is_empty() && self.data.is_empty() && self.tail.is_empty())
    }

    fn poll_bytes<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        send_file: Option<SendFile<S>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let is_one_piece = self.data.is_empty() && self.tail.is_empty();
        let from_twin =
            if self.twin.is_some() { ready!(self.poll_twin(io, send_file, context)) } else { None };
        let count = if let Some(count) = from_twin {
            count
        } else if io.is_write_vectored() && !is_one_piece {
            let slices =
                [IoSlice::new(&self.head), IoSlice::new(&self.data), IoSlice::new(&self.tail)];
            ready!(Pin::new(io).poll_write_vectored(context, &slices))?
        } else {
            let first =
                [&self.head[..], &self.data, &self.tail].into_iter().find(|b| !b.is_empty());
            ready!(Pin::new(io).poll_write(context, first.unwrap_or_default()))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += count as u64;
        let mut left = count;
        for part in [&mut self.head as &mut dyn Buf, &mut self.data, &mut self.tail] {
            let taken = left.min(part.remaining());
            part.advance(taken);
            left -= taken;
        }
        Poll::Ready(Ok(()))
    }

    /// Lets the kernel send content from its second copy. `None` if it does not lie there, or if the socket
    /// takes nothing: then it goes the usual way, which waits until it does, and tells what ails it.
    #[inline(never)]
    fn poll_twin<S>(
        &mut self,
        io: &S,
        send_file: Option<SendFile<S>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<usize>> {
        let (Some(twin), Some(send_file)) = (&self.twin, send_file) else {
            return Poll::Ready(None);
        };
        if self.data.len() < WORTH_SENDING {
            return Poll::Ready(None);
        }
        let Some(offset) = twin.offset_of(&self.data) else { return Poll::Ready(None) };
        // As every write through the runtime: who takes whatever there is must not keep the core.
        let turn = ready!(poll_proceed(context));
        turn.made_progress();
        match send_file(io, &self.head, twin.file(), (offset, self.data.len())) {
            Ok(count) if count > 0 => Poll::Ready(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Ready(None),
            // The socket has broken, or the kernel does not send from there.
            failed => {
                if let Err(error) = failed {
                    Twin::note_failure(&error);
                }
                self.twin = None;
                Poll::Ready(None)
            }
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some((stream, ends)) = &mut self.source else { return Ok(Poll::Ready(())) };
        let frame = match stream.as_mut().poll_frame(context) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(None) => None,
            Poll::Ready(Some(Ok(frame))) => Some(frame),
            Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
        };
        let ends = *ends;
        match frame.map(Frame::into_data) {
            Some(Ok(data)) => self.take_data(data, ends)?,
            Some(Err(frame)) => {
                if let (Ok(trailers), Ends::Chunked) = (frame.into_trailers(), ends) {
                    self.finish_chunked(&trailers);
                }
            }
            None => match ends {
                Ends::AfterLength(0) | Ends::WithConnection => self.source = None,
                Ends::AfterLength(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ends::Chunked => self.finish_chunked(&HeaderMap::new()),
            },
        }
        Ok(Poll::Ready(()))
    }

    fn take_data(&mut self, data: Bytes, ends: Ends) -> io::Result<()> {
        match ends {
            Ends::WithConnection => {}
            Ends::AfterLength(left) => {
                let left = left.checked_sub(data.len() as u64).ok_or_else(|| {
                    io::Error::other("the answer is longer than its content-length")
                })?;
                if let Some((_, ends)) = &mut self.source {
                    *ends = Ends::AfterLength(left);
                }
            }
            // An empty chunk would end the content.
            Ends::Chunked if data.is_empty() => {}
            Ends::Chunked => {
                let size = format!("{:x}\r\n", data.len());
                self.head.extend_from_slice(size.as_bytes());
                self.tail = CRLF;
            }
        }
        self.data = data;
        Ok(())
    }

    fn finish_chunked(&mut self, trailers: &HeaderMap) {
        self.head.extend_from_slice(b"0\r\n");
        field_lines(&mut self.head, trailers);
        self.head.extend_from_slice(b"\r\n");
        self.source = None;
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(value);
        self.head.extend_from_slice(b"\r\n");
    }
}

fn status_line(out: &mut BytesMut, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Fields except those that frame the message: they are ours.
fn field_lines(out: &mut BytesMut, fields: &HeaderMap) {
    if fields.is_empty() {
        return;
    }
    for (name, value) in fields {
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING || name == CONNECTION {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::exchange::Seat;

    /// What is written of `content`, which has a twin, where files are sent so.
    fn written(content: &Bytes, send_file: SendFile<DuplexStream>) -> Vec<u8> {
        let seat = Seat::take(&Arc::default(), 1).expect("it is free");
        let twin = Arc::new(Twin::write(content.clone(), seat).expect("Linux has memory files"));
        let mut answer = Answer::new(content.clone());
        answer.twin = twin.lend();
        let mut writer = Writer::default();
        let version = Version::HTTP_11;
        writer.begin(answer, false, version, Fate::Close);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime starts").block_on(async {
            let (mut near, mut far) = tokio::io::duplex(4_096);
            let mut read = Vec::new();
            let write = async {
                let send = Some(send_file);
                poll_fn(|context| writer.poll_write(&mut near, send, context)).await?;
                near.shutdown().await
            };
            let (written, _) = tokio::join!(write, far.read_to_end(&mut read));
            written.expect("the other side reads");
            read
        })
    }

    #[test]
    fn where_the_kernel_does_not_send_from_files_content_is_copied() {
        let content = Bytes::from((0..=250).cycle().take(200_000).collect::<Vec<u8>>());
        let refuses: SendFile<DuplexStream> = |_, _, _, _| Err(io::ErrorKind::Unsupported.into());
        let is_full: SendFile<DuplexStream> = |_, _, _, _| Err(io::ErrorKind::WouldBlock.into());
        let takes_nothing: SendFile<DuplexStream> = |_, _, _, _| Ok(0);
        for send_file in [is_full, takes_nothing, refuses] {
            let read = written(&content, send_file);
            let expected =
                b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\nconnection: close\r\n\r\n";
            assert!(read.starts_with(expected), "{}", String::from_utf8_lossy(&read[..100]));
            assert!(read[expected.len()..] == content[..]);
        }
        assert!(Twin::are_refused(), "nobody has any more made");
    }
}
