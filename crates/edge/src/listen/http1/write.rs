//! An answer as HTTP/1 bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};
use tokio::io::AsyncWrite;

use crate::exchange::{Answer, Body, BoxedBody};

/// Content up to this size is copied behind the head: one plain write costs less than a gathering one.
const FLAT_BYTES: usize = 4 * 1024;

/// Room for what stands in a head besides stored and own lines, so that a hit's head grows once.
const ROOM_BYTES: usize = 96;

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
        let Answer { status, lines, fields, own, body, .. } = answer;
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
                return Poll::Ready(Ok(()));
            }
            self.is_blocked = true;
            ready!(self.poll_bytes(io, context))?;
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
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let is_one_piece = self.data.is_empty() && self.tail.is_empty();
        let count = if io.is_write_vectored() && !is_one_piece {
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
