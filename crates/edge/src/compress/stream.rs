//! Encoding while it passes.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Body as HttpBody, Frame};

use super::seats::Seat;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Body, Encoding};

/// Encoded at a time: 0.2 ms with br.
const STEP_BYTES: usize = 16 << 10;
/// Less is not worth a frame of its own while more is there to be encoded.
const FRAME_BYTES: usize = 4 << 10;
/// Reads and encodings in one turn.
const STEPS: usize = 8;
/// Less memory an encoder (a quarter of a megabyte, not four), for hardly larger content.
const WINDOW_LOG: u32 = 18;

/// Encodes a body as it comes. Whenever the body has nothing more at the moment, what came is flushed:
/// a slow answer is held back by nothing.
#[derive(Debug)]
pub struct StreamEncoder {
    inner: Body,
    coder: Option<Coder>,
    /// Read and not yet encoded.
    rest: Bytes,
    /// Encoded and not yet flushed.
    is_dirty: bool,
    /// Trailers or error that come after the encoder's last words.
    last: Option<Result<Frame<Bytes>, Error>>,
    /// Given back when the answer has ended.
    seat: Option<Seat>,
}

impl StreamEncoder {
    /// Encodes `body`; gives it back untouched if there is no encoder for it.
    pub fn new(body: Body, encoding: Encoding) -> Result<StreamEncoder, Body> {
        match Coder::new(encoding) {
            Ok(Some(coder)) => Ok(StreamEncoder {
                inner: body,
                coder: Some(coder),
                rest: Bytes::new(),
                is_dirty: false,
                last: None,
                seat: None,
            }),
            Ok(None) | Err(_) => Err(body),
        }
    }

    pub(super) fn with_seat(mut self, seat: Seat) -> StreamEncoder {
        self.seat = Some(seat);
        self
    }

    /// Encodes a step of what was read.
    fn step(&mut self) -> io::Result<Option<Bytes>> {
        let Some(coder) = &mut self.coder else { return Ok(None) };
        let step = self.rest.split_to(self.rest.len().min(STEP_BYTES));
        coder.write(&step)?;
        self.is_dirty = true;
        Ok(coder.take(FRAME_BYTES))
    }

    fn flush(&mut self) -> io::Result<Option<Bytes>> {
        self.is_dirty = false;
        let Some(coder) = &mut self.coder else { return Ok(None) };
        coder.flush()?;
        Ok(coder.take(1))
    }

    fn finish(&mut self) -> io::Result<Option<Bytes>> {
        match self.coder.take() {
            Some(coder) => coder.finish().map(Some),
            None => Ok(None),
        }
    }

    /// Ends without finishing: the client must see that it is not whole.
    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.coder = None;
        self.rest = Bytes::new();
        self.last = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll_encoded(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        for _ in 0..STEPS {
            if self.coder.is_none() {
                return Poll::Ready(self.last.take());
            }
            let (made, is_pending) = if self.rest.is_empty() {
                match Pin::new(&mut self.inner).poll_frame(context) {
                    Poll::Pending if self.is_dirty => (self.flush(), true),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Err(error))) => return self.fail(error),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            self.rest = data;
                            continue;
                        }
                        Err(trailers) => {
                            self.last = Some(Ok(trailers));
                            (self.finish(), false)
                        }
                    },
                    Poll::Ready(None) => (self.finish(), false),
                }
            } else {
                (self.step(), false)
            };
            match made {
                Ok(Some(bytes)) if !bytes.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Ok(_) if is_pending => return Poll::Pending,
                Ok(_) => {}
                Err(error) => {
                    let error = Error::new(ErrorKind::Internal, "cannot encode").because(error);
                    return self.fail(error);
                }
            }
        }
        // Encoders keep large blocks to themselves: others have their turn before the next.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl HttpBody for StreamEncoder {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_encoded(context)
    }

    fn is_end_stream(&self) -> bool {
        self.coder.is_none() && self.last.is_none()
    }
}

enum Coder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coder {
    fn new(encoding: Encoding) -> io::Result<Option<Coder>> {
        Ok(match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => Some(Coder::Gzip(GzEncoder::new(Vec::new(), Compression::new(1)))),
            Encoding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), STEP_BYTES, 4, WINDOW_LOG);
                Some(Coder::Brotli(Box::new(writer)))
            }
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
                encoder.window_log(WINDOW_LOG)?;
                Some(Coder::Zstd(encoder))
            }
        })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Coder::Gzip(encoder) => encoder.write_all(data),
            Coder::Brotli(encoder) => encoder.write_all(data),
            Coder::Zstd(encoder) => encoder.write_all(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Coder::Gzip(encoder) => encoder.flush(),
            Coder::Brotli(encoder) => encoder.flush(),
            Coder::Zstd(encoder) => encoder.flush(),
        }
    }

    /// What has come out, if it is at least this much.
    fn take(&mut self, least: usize) -> Option<Bytes> {
        let out = match self {
            Coder::Gzip(encoder) => encoder.get_mut(),
            Coder::Brotli(encoder) => encoder.get_mut(),
            Coder::Zstd(encoder) => encoder.get_mut(),
        };
        (out.len() >= least).then(|| std::mem::take(out).into())
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Coder::Gzip(encoder) => encoder.finish(),
            Coder::Brotli(encoder) => Ok(encoder.into_inner()),
            Coder::Zstd(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Coder::Gzip(_) => "gzip",
            Coder::Brotli(_) => "br",
            Coder::Zstd(_) => "zstd",
        })
    }
}
