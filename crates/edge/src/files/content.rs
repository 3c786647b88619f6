//! The content of a file: at once, or in pieces as the client takes them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::traits::Traits;
use super::{Contents, Opened, aside};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Body, Encoding};

/// How much of a large file is in memory for each client.
const PIECE: u64 = 256 << 10;

impl Opened {
    /// Bytes of the content as it is.
    pub fn length(&self) -> u64 {
        self.traits.length
    }

    /// All of it, with what lies beside it. For files that fit the store.
    pub async fn read(&self) -> Result<Contents, Error> {
        let (file, traits) = (Arc::clone(&self.file), self.traits);
        let length = traits.length;
        let siblings: Vec<_> = self
            .siblings
            .iter()
            .filter(|(_, _, traits)| traits.length <= length)
            .map(|(encoding, file, traits)| (*encoding, Arc::clone(file), traits.length))
            .collect();
        let read = aside(move || {
            let whole = read(&file, 0..length)?;
            let mut encoded = Vec::new();
            for (encoding, file, length) in siblings {
                encoded.push((encoding, read(&file, 0..length)?));
            }
            Ok(Contents { whole, encoded, is_as_found: Traits::of(&file)? == traits })
        });
        read.await?.map_err(broke_off)
    }

    /// Encodings that lie beside it.
    pub fn encodings(&self) -> impl Iterator<Item = Encoding> + '_ {
        self.siblings.iter().map(|(encoding, ..)| *encoding)
    }

    /// The bytes of `range`, as they are taken.
    pub fn stream(&self, range: Range<u64>) -> Body {
        Body::stream(Pieces { file: Arc::clone(&self.file), left: range, next: None })
    }

    /// The content in an encoding that lies beside it.
    pub fn stream_encoded(&self, encoding: Encoding) -> Option<Body> {
        let (_, file, traits) = self.siblings.iter().find(|(known, ..)| *known == encoding)?;
        let file = Arc::clone(file);
        Some(Body::stream(Pieces { file, left: 0..traits.length, next: None }))
    }
}

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>;

/// A range of a file, read when it is asked for.
struct Pieces {
    file: Arc<File>,
    left: Range<u64>,
    next: Option<Reading>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.left.start..self.left.end.min(self.left.start + PIECE);
        let mut reading = self.next.take().unwrap_or_else(|| {
            let file = Arc::clone(&self.file);
            Box::pin(async move { aside(move || read(&file, piece)).await?.map_err(broke_off) })
        });
        let Poll::Ready(read) = reading.as_mut().poll(context) else {
            self.next = Some(reading);
            return Poll::Pending;
        };
        Poll::Ready(Some(read.map(|data| {
            self.left.start += data.len() as u64;
            Frame::data(data)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end.saturating_sub(self.left.start))
    }
}

/// Exactly these bytes: a file that became shorter is an error, one that became longer is cut.
fn read(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start));
    let mut bytes = vec![0; length.map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

fn broke_off(source: io::Error) -> Error {
    Error::new(ErrorKind::Internal, "a file broke off while it was read").because(source)
}
