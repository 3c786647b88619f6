//! Values that are terms of HTTP: hosts, paths, methods, statuses, fields, networks.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::setting::{Setting, text, word, written};
use crate::config::admit::{ForwardedField, Proxy};
use crate::config::log::Format;
use crate::config::origin::{Balance, HashBy};
use crate::config::rate::RateKey;
use crate::config::route::{HostRule, PathRule, Segment};
use crate::exchange::{Encoding, Scheme};

/// A host, or any host: `"*"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(pub(super) Option<HostRule>);

/// A pattern of paths as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(pub(super) PathRule);

const HOST_HINT: &str = "write `shop.example`, `*.shop.example` or `*`, without scheme and port";
const PATH_HINT: &str =
    "write `/about`, `/assets/*` (it and all below), `/users/:id` or `/files/*rest`";

impl Setting for Proxy {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Proxy, Wrong> {
        const HINT: &str = "write an address such as `10.0.0.1`, a network such as `10.0.0.0/8`, \
                            or `unix` for whoever connects to a Unix socket";
        let text = text(value, "a network", HINT)?;
        text.parse().map_err(|_| Wrong::new(format!("is not a network: `{text}`")).hint(HINT))
    }

    fn show(&self) -> String {
        match self {
            Proxy::Network(net) => format!("\"{net}\""),
            Proxy::Unix => "\"unix\"".into(),
        }
    }
}

impl Setting for ForwardedField {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<ForwardedField, Wrong> {
        let known = [ForwardedField::XForwardedFor, ForwardedField::Forwarded];
        word(value, &known.map(|field| (name_of(field), field)))
    }

    fn show(&self) -> String {
        format!("\"{}\"", name_of(*self))
    }
}

fn name_of(field: ForwardedField) -> &'static str {
    match field {
        ForwardedField::XForwardedFor => "x-forwarded-for",
        ForwardedField::Forwarded => "forwarded",
    }
}

impl Setting for Encoding {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Encoding, Wrong> {
        let known = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];
        word(value, &known.map(|encoding| (encoding.token(), encoding)))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.token())
    }
}

impl Setting for Scheme {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Scheme, Wrong> {
        word(value, &[Scheme::Http, Scheme::Https].map(|scheme| (scheme.as_str(), scheme)))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.as_str())
    }
}

const FORMATS: [(&str, Format); 3] =
    [("json", Format::Json), ("common", Format::Common), ("off", Format::Off)];

impl Setting for Format {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Format, Wrong> {
        word(value, &FORMATS)
    }

    fn show(&self) -> String {
        let name = FORMATS.iter().find(|(_, format)| format == self);
        format!("\"{}\"", name.map_or("off", |(name, _)| *name))
    }
}

impl Setting for Balance {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Balance, Wrong> {
        let known = [
            ("least-in-flight", Balance::LeastInFlight),
            ("round-robin", Balance::RoundRobin),
            ("hash", Balance::Hash),
        ];
        word(value, &known)
    }

    fn show(&self) -> String {
        match self {
            Balance::LeastInFlight => "\"least-in-flight\"".into(),
            Balance::RoundRobin => "\"round-robin\"".into(),
            Balance::Hash => "\"hash\"".into(),
        }
    }
}

impl Setting for HashBy {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<HashBy, Wrong> {
        const HINT: &str = "write `url`, `address`, `field:x-tenant` or `cookie:session`";
        let text = text(value, "something to hash", HINT)?;
        match text.split_once(':') {
            None if text == "url" => Ok(HashBy::Url),
            None if text == "address" => Ok(HashBy::Address),
            Some(("field", name)) => Ok(HashBy::Field(field_name(name)?)),
            Some(("cookie", name)) if !name.is_empty() => Ok(HashBy::Cookie(name.to_owned())),
            _ => Err(Wrong::new(format!("is not something to hash: `{text}`")).hint(HINT)),
        }
    }

    fn show(&self) -> String {
        match self {
            HashBy::Url => "\"url\"".into(),
            HashBy::Address => "\"address\"".into(),
            HashBy::Field(name) => format!("\"field:{name}\""),
            HashBy::Cookie(name) => format!("\"cookie:{name}\""),
        }
    }
}

impl Setting for RateKey {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<RateKey, Wrong> {
        const HINT: &str = "write `address`, `everybody`, `field:x-api-key` or `cookie:session`";
        let text = text(value, "a key", HINT)?;
        let wrong = || Wrong::new(format!("is not a key: `{text}`")).hint(HINT);
        match text.split_once(':') {
            None if text == "address" => Ok(RateKey::Address),
            None if text == "everybody" => Ok(RateKey::Everybody),
            Some(("field", name)) => Ok(RateKey::Field(field_name(name)?)),
            Some(("cookie", name)) if !name.is_empty() => Ok(RateKey::Cookie(name.to_owned())),
            _ => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        match self {
            RateKey::Address => "\"address\"".into(),
            RateKey::Everybody => "\"everybody\"".into(),
            RateKey::Field(name) => format!("\"field:{name}\""),
            RateKey::Cookie(name) => format!("\"cookie:{name}\""),
        }
    }
}

impl Setting for Method {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Method, Wrong> {
        const HINT: &str = "write methods in capitals, such as `GET` or `POST`";
        let text = text(value, "a method", HINT)?;
        let wrong = || Wrong::new(format!("is not a method: `{text}`")).hint(HINT);
        if text.is_empty() || text.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(wrong());
        }
        Method::from_bytes(text.as_bytes()).map_err(|_| wrong())
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Setting for StatusCode {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<StatusCode, Wrong> {
        let number = u16::read(value).ok().filter(|number| (200..600).contains(number));
        number.and_then(|number| StatusCode::from_u16(number).ok()).ok_or_else(|| {
            Wrong::new(format!("is not a status: `{}`", written(value.get_ref())))
                .hint("write a number from 200 to 599")
        })
    }

    fn show(&self) -> String {
        self.as_u16().to_string()
    }
}

impl Setting for HeaderName {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<HeaderName, Wrong> {
        field_name(text(value, "a field name", FIELD_HINT)?)
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

const FIELD_HINT: &str = "write a name such as `x-robots-tag`";

/// A field name.
pub(super) fn field_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Wrong::new(format!("is not a field name: `{text}`")).hint(FIELD_HINT))
}

/// A field name that a route may set or remove: not what frames or steers the message.
pub(super) fn editable_field(text: &str) -> Result<HeaderName, Wrong> {
    let name = field_name(text)?;
    let framing = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    if framing.contains(&name) {
        return Err(Wrong::new(format!("touches a field that frames the message: `{name}`"))
            .hint("leave it to the edge; the host that an origin sees is `host` of `[[origin]]`"));
    }
    Ok(name)
}

/// A field value.
pub(super) fn field_value(value: &Spanned<DeValue<'_>>) -> Result<HeaderValue, Wrong> {
    const HINT: &str = "write a text without line breaks";
    let text = text(value, "a field value", HINT)?;
    HeaderValue::from_str(text).map_err(|_| {
        Wrong::new(format!("is not a field value: `{}`", text.escape_debug())).hint(HINT)
    })
}

impl Setting for Host {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Host, Wrong> {
        let text = text(value, "a host", HOST_HINT)?;
        if text == "*" {
            return Ok(Host(None));
        }
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        let (name, is_below) = match lower.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (lower, false),
        };
        if !is_host(name) || (is_below && name.starts_with('[')) {
            let hint = if text.is_ascii() { HOST_HINT } else { "write it in its `xn--` form" };
            return Err(Wrong::new(format!("is not a host: `{text}`")).hint(hint));
        }
        let rule = if is_below {
            HostRule::Below(format!(".{name}"))
        } else {
            HostRule::Exact(name.to_owned())
        };
        Ok(Host(Some(rule)))
    }

    fn show(&self) -> String {
        match &self.0 {
            None => "\"*\"".into(),
            Some(HostRule::Exact(name)) => format!("\"{name}\""),
            Some(HostRule::Below(name)) => format!("\"*{name}\""),
        }
    }
}

fn is_host(name: &str) -> bool {
    if let Some(inner) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        fits && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl Setting for Path {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Path, Wrong> {
        let text = text(value, "a path", PATH_HINT)?;
        let wrong = |why: &str| Wrong::new(format!("{why}: `{text}`")).hint(PATH_HINT);
        let Some(below_root) = text.strip_prefix('/') else {
            return Err(wrong("is not a path"));
        };
        if text.bytes().any(|b| !(0x21..0x7f).contains(&b) || matches!(b, b'?' | b'#' | b'\\')) {
            return Err(Wrong::new(format!("is not a path: `{text}`")).hint(
                "paths are matched as they are sent: percent-encoded, and without the query",
            ));
        }
        if below_root == "*" {
            return Ok(Path(PathRule::Any));
        }
        if let Some(prefix) = text.strip_suffix("/*").filter(|p| !has_captures(p)) {
            return Ok(Path(PathRule::Prefix(prefix.to_owned())));
        }
        if !has_captures(text) {
            return Ok(Path(PathRule::Exact(text.to_owned())));
        }
        segments(below_root).map(|pattern| Path(PathRule::Pattern(pattern))).map_err(wrong)
    }

    fn show(&self) -> String {
        format!("\"{}\"", show_path(&self.0))
    }
}

fn has_captures(path: &str) -> bool {
    path.split('/').any(|segment| segment.starts_with([':', '*']))
}

fn segments(below_root: &str) -> Result<Vec<Segment>, &'static str> {
    let mut segments = Vec::new();
    let mut names = Vec::new();
    for segment in below_root.split('/') {
        if matches!(segments.last(), Some(Segment::Rest(_))) {
            return Err("has something after `*`");
        }
        let (name, is_rest) = match (segment.strip_prefix(':'), segment.strip_prefix('*')) {
            (Some(name), _) => (name, false),
            (None, Some(name)) => (name, true),
            (None, None) => {
                segments.push(Segment::Literal(segment.to_owned()));
                continue;
            }
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err("has a capture without a proper name");
        }
        if names.contains(&name) {
            return Err("captures two segments under one name");
        }
        if ["path", "query", "host"].contains(&name) {
            return Err("captures under a name that is taken (`path`, `query`, `host`)");
        }
        names.push(name);
        let name = name.to_owned();
        segments.push(if is_rest { Segment::Rest(name) } else { Segment::One(name) });
    }
    Ok(segments)
}

/// A path rule as one would write it.
pub(super) fn show_path(rule: &PathRule) -> String {
    match rule {
        PathRule::Any => "/*".into(),
        PathRule::Exact(path) => path.clone(),
        PathRule::Prefix(path) => format!("{path}/*"),
        PathRule::Pattern(segments) => {
            let mut text = String::new();
            for segment in segments {
                let (mark, name) = match segment {
                    Segment::Literal(name) => ("", name),
                    Segment::One(name) => (":", name),
                    Segment::Rest(name) => ("*", name),
                };
                text = text + "/" + mark + name;
            }
            text
        }
    }
}
