//! Which content is worth encoding, and which must not be touched.

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, SET_COOKIE,
};
use http::{HeaderName, StatusCode};

use crate::config;

/// Types besides `text/*`, `*+json`, `*+xml` and `*+text` that shrink. Images, films, archives and WOFF
/// fonts are compressed by nature.
const TYPES: [&str; 17] = [
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/manifest",
    "application/rtf",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

/// Checksums of the bytes as they are (RFC 9530 and its elders): other bytes would belie them.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The conditions under which content is encoded.
#[derive(Debug)]
pub struct Eligible {
    min_bytes: u64,
    more_types: Vec<String>,
    encodes_with_cookies: bool,
}

impl Eligible {
    /// With these settings.
    pub fn new(settings: &config::compress::Compress) -> Eligible {
        Eligible {
            min_bytes: settings.min_bytes,
            more_types: settings.more_types.iter().map(|name| name.to_ascii_lowercase()).collect(),
            encodes_with_cookies: settings.encodes_with_cookies,
        }
    }

    /// True if an answer like this is encoded; an unknown `length` is long enough.
    pub fn is_met(&self, status: StatusCode, fields: &HeaderMap, length: Option<u64>) -> bool {
        let has_whole_content = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::RESET_CONTENT
            && status != StatusCode::NOT_MODIFIED
            && status != StatusCode::PARTIAL_CONTENT;
        // The type first: it settles the matter for most of what passes by, images and downloads.
        has_whole_content
            && length.is_none_or(|length| self.is_size(length))
            && self.shrinks(fields)
            && !fields.contains_key(CONTENT_RANGE)
            && !fields.contains_key(CONTENT_ENCODING)
            && (self.encodes_with_cookies || !fields.contains_key(SET_COOKIE))
            && !forbids_transform(fields)
            && !DIGESTS.iter().any(|digest| fields.contains_key(digest))
    }

    /// Large enough to gain anything.
    pub fn is_size(&self, length: u64) -> bool {
        length >= self.min_bytes
    }

    /// Of a type that shrinks.
    pub fn is_type(&self, content_type: Option<&[u8]>) -> bool {
        content_type.is_some_and(|value| self.shrinks_by(value))
    }

    fn shrinks(&self, fields: &HeaderMap) -> bool {
        self.is_type(fields.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes))
    }

    fn shrinks_by(&self, value: &[u8]) -> bool {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let media_type = value.get(..end).unwrap_or_default().trim_ascii();
        // Compared as they stand: a copy in lower case would cost more than all of this.
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        let begins = |with: &str| {
            let begin = media_type.get(..with.len()).unwrap_or_default();
            begin.eq_ignore_ascii_case(with.as_bytes())
        };
        let ends = |with: &str| {
            let from = media_type.len().saturating_sub(with.len());
            let end = media_type.get(from..).unwrap_or_default();
            end.eq_ignore_ascii_case(with.as_bytes())
        };
        // An event stream would hold an encoder for hours to save a few bytes an event.
        (begins("text/") && !is("text/event-stream"))
            || ["+json", "+xml", "+text"].into_iter().any(ends)
            || TYPES.into_iter().any(is)
            || self.more_types.iter().any(|more| is(more))
    }
}

/// `no-transform` of an answer or a request (RFC 9111 §5.2.2.6, §5.2.1.6).
pub fn forbids_transform(fields: &HeaderMap) -> bool {
    fields.get_all(CACHE_CONTROL).iter().any(|line| {
        let mut directives = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        directives.any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_met(status: u16, fields: &[(&'static str, &'static str)], length: Option<u64>) -> bool {
        let settings = config::compress::Compress {
            more_types: vec!["application/X-Ours".into()],
            ..Default::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        Eligible::new(&settings).is_met(status, &map, length)
    }

    #[test]
    fn the_list_of_types_is_sorted() {
        assert!(TYPES.is_sorted());
    }

    #[test]
    fn text_in_all_its_forms_shrinks_and_the_rest_does_not() {
        for shrinks in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
            "application/x-ours",
        ] {
            assert!(is_met(200, &[("content-type", shrinks)], Some(5_000)), "{shrinks}");
        }
        for does_not in [
            "image/png",
            "video/mp4",
            "font/woff2",
            "application/zip",
            "application/octet-stream",
            "text/event-stream",
            "",
        ] {
            assert!(!is_met(200, &[("content-type", does_not)], Some(5_000)), "{does_not}");
        }
        assert!(!is_met(200, &[], Some(5_000)));
    }

    #[test]
    fn what_must_not_be_touched_is_not() {
        let html = ("content-type", "text/html");
        assert!(is_met(200, &[html], None));
        assert!(is_met(404, &[html], Some(1_024)));
        for (name, shrinks) in [
            ("Text/HTML ; charset=utf-8", true),
            ("APPLICATION/Json", true),
            ("application/problem+JSON;v=1", true),
            ("application/x-OURS", true),
            ("text", false),
            ("text/event-stream", false),
            ("Text/Event-Stream; a", false),
            ("application/octet-stream", false),
            ("+json", true),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(is_met(200, &[("content-type", name)], None), shrinks, "{name:?}");
        }
        assert!(!is_met(200, &[html], Some(1_023)));
        for status in [101, 204, 205, 206, 304] {
            assert!(!is_met(status, &[html], None), "{status}");
        }
        for field in [
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("set-cookie", "session=1"),
            ("cache-control", "public, No-Transform"),
            ("content-digest", "sha-256=:a:"),
        ] {
            assert!(!is_met(200, &[html, field], None), "{field:?}");
        }
    }
}
