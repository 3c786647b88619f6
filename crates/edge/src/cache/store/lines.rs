//! Field lines as they lie in an object.

use http::HeaderValue;
use http::header::{self, HeaderMap, HeaderName};

use crate::cache::rules::targeted::SURROGATE_CONTROL;
use crate::cache::tags::is_for_tags;
use crate::config::cache::Visibility;

/// Where a value lies within the lines; a value never starts at 0, its name does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) len: u16,
}

/// Values that are asked for often enough to be found without a search.
#[derive(Default)]
pub(super) struct Spans {
    pub(super) etag: Span,
    pub(super) last_modified: Span,
    pub(super) content_type: Span,
}

/// Fields that describe a connection or a hop (RFC 9111 §3.1), and those that each hit gets anew: length,
/// age, request id.
fn is_stored(name: &HeaderName) -> bool {
    !(name == header::CONTENT_LENGTH
        || name == header::AGE
        || name == header::CONNECTION
        || name == header::TRANSFER_ENCODING
        || name == header::TE
        || name == header::TRAILER
        || name == header::UPGRADE
        || name == header::PROXY_AUTHENTICATE
        || name == header::PROXY_AUTHORIZATION
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "proxy-authentication-info" | "x-request-id"
        ))
}

fn stored(fields: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    fields.iter().filter(|(name, _)| is_stored(name))
}

pub(super) fn lines_len(fields: &HeaderMap) -> usize {
    stored(fields).map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Fields that the rules need again when the object is validated, and that no client is shown: they were
/// for us (Edge Architecture Specification §2.2).
fn is_hidden(name: &HeaderName, tags: Visibility) -> bool {
    *name == SURROGATE_CONTROL || (tags == Visibility::Hidden && is_for_tags(name))
}

/// Writes all lines, the hidden ones last, and returns how long these are.
pub(super) fn write_lines(
    out: &mut Vec<u8>,
    origin: usize,
    fields: &HeaderMap,
    tags: Visibility,
    spans: &mut Spans,
) -> usize {
    for (name, value) in stored(fields).filter(|(name, _)| !is_hidden(name, tags)) {
        let span = match *name {
            header::ETAG => Some(&mut spans.etag),
            header::LAST_MODIFIED => Some(&mut spans.last_modified),
            header::CONTENT_TYPE => Some(&mut spans.content_type),
            _ => None,
        };
        let start = write_line(out, name, value) - origin;
        // Of several lines the first counts. Both fit: the sum of all lines was checked.
        if let Some(span) = span
            && span.start == 0
            && let (Ok(start), Ok(len)) = (u16::try_from(start), u16::try_from(value.len()))
        {
            *span = Span { start, len };
        }
    }
    let shown = out.len();
    for (name, value) in stored(fields).filter(|(name, _)| is_hidden(name, tags)) {
        write_line(out, name, value);
    }
    out.len() - shown
}

/// Returns where the value begins.
fn write_line(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) -> usize {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
    start
}
