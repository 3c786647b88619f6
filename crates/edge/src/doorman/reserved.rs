//! Fields that only the edge may say: what clients say under these names is dropped, before anybody reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::Error;
use crate::exchange::{Body, BoxedBody, Exchange};

/// Names of such fields.
#[derive(Debug, Default)]
pub struct Reserved {
    names: Vec<HeaderName>,
    /// A bit for each length that one of them has: most fields of a request have another.
    lengths: u64,
}

impl Reserved {
    /// These names.
    pub fn new(names: Vec<HeaderName>) -> Reserved {
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name));
        Reserved { names, lengths }
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn holds(&self, name: &HeaderName) -> bool {
        self.lengths & bit(name) != 0 && self.names.iter().any(|known| is_same(known, name))
    }
}

fn bit(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

/// Drops them from a request, behind its content too: there are servers that read a trailer as any field.
pub fn strip(reserved: &Arc<Reserved>, exchange: &mut Exchange) {
    strip_fields(reserved, &mut exchange.head.fields);
    exchange.body = match std::mem::take(&mut exchange.body) {
        Body::Stream(inner) => Body::stream(WithoutThem { inner, reserved: Arc::clone(reserved) }),
        whole => whole,
    };
}

/// In any spelling that an application might read as the same: many take `_` or `.` for `-`.
fn strip_fields(reserved: &Reserved, fields: &mut HeaderMap) {
    while let Some(name) = fields.keys().find(|name| reserved.holds(name)).cloned() {
        fields.remove(name);
    }
}

fn is_same(known: &HeaderName, name: &HeaderName) -> bool {
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { *byte } else { b'-' };
    let (known, name) = (known.as_str().as_bytes(), name.as_str().as_bytes());
    known.len() == name.len() && known.iter().map(plain).eq(name.iter().map(plain))
}

/// Content whose trailers hold none of them.
struct WithoutThem {
    inner: BoxedBody,
    reserved: Arc<Reserved>,
}

impl HttpBody for WithoutThem {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut frame = ready!(self.inner.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            strip_fields(&self.reserved, trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_is_reserved_in_every_spelling_and_no_other_is() {
        let long = format!("x-{}", "a".repeat(80));
        let names = ["x-user", "remote_user", &long].map(|name| name.parse().expect("a name"));
        let reserved = Reserved::new(names.to_vec());
        let mut fields = HeaderMap::new();
        let longer = format!("{long}a");
        for name in [
            "x-user",
            "x_user",
            "x.user",
            "remote-user",
            "Remote_User",
            &long,
            "x-users",
            "xxuser",
            &longer,
        ] {
            let name: HeaderName = name.parse().expect("a name");
            for _ in 0..2 {
                fields.append(&name, HeaderValue::from_static("v"));
            }
        }
        strip_fields(&reserved, &mut fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, [longer.as_str(), "x-users", "xxuser"]);
        assert!(Reserved::default().is_empty() && !reserved.is_empty());
    }
}
