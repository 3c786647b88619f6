//! Which field governs: `CDN-Cache-Control` (RFC 9213) before `Surrogate-Control` (the Edge
//! Architecture note) before `Cache-Control` and `Expires`. A targeted field that governs replaces the
//! lower ones whole; one that is not valid is as if it were not there.

use http::header::{HeaderMap, HeaderName};

use super::dictionary::{Value, parse};
use super::directives::{
    AnswerDirectives, DELTA_MAX, Scope, delta_seconds, directives, field_names,
};

/// `CDN-Cache-Control`.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// `Surrogate-Control`.
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// The field whose directives hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Governor {
    /// `CDN-Cache-Control`.
    Cdn,
    /// `Surrogate-Control`.
    Surrogate,
    /// `Cache-Control` and `Expires`.
    CacheControl,
}

/// The directives that hold for an answer, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Where.
    pub governor: Governor,
    /// What.
    pub directives: AnswerDirectives,
}

impl Effective {
    /// Chooses the governing field of an answer and reads it.
    pub fn of(fields: &HeaderMap) -> Effective {
        // One walk over the names: few answers have either, and to look up two rare names costs more.
        if fields.keys().any(|name| *name == CDN_CACHE_CONTROL || *name == SURROGATE_CONTROL) {
            if let Some(directives) = targeted(fields, &CDN_CACHE_CONTROL) {
                return Effective { governor: Governor::Cdn, directives };
            }
            if let Some(directives) = surrogate(fields) {
                return Effective { governor: Governor::Surrogate, directives };
            }
        }
        let directives = AnswerDirectives::of(fields);
        Effective { governor: Governor::CacheControl, directives }
    }

    /// True if a field that is meant for shared caches alone governs.
    pub fn is_targeted(&self) -> bool {
        self.governor != Governor::CacheControl
    }
}

/// Reads a targeted field; `None` where it is absent, empty, unparsable or of a wrong type
/// (RFC 9213 §2.1, §2.2).
fn targeted(fields: &HeaderMap, name: &HeaderName) -> Option<AnswerDirectives> {
    let mut lines = fields.get_all(name).iter();
    let mut joined = lines.next()?.as_bytes().to_vec();
    for line in lines {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line.as_bytes());
    }
    from_dictionary(&joined)
}

/// Makes directives of a dictionary; `None` as above.
pub fn from_dictionary(text: &[u8]) -> Option<AnswerDirectives> {
    let members = parse(text)?;
    if members.is_empty() {
        return None;
    }
    let number = |key| members.value(key).map(seconds).map_or(Some(None), |read| read.map(Some));
    let scope = |key| members.value(key).map(scope).unwrap_or_default();
    let is_set = |key| members.value(key).is_some_and(|value| *value != Value::Boolean(false));
    // A restriction holds in whatever form it comes, but for `?0`; a permission must be written as one.
    let is_true = |key| members.value(key) == Some(&Value::Boolean(true));
    Some(AnswerDirectives {
        max_age: number("max-age")?,
        s_maxage: number("s-maxage")?,
        stale_while_revalidate: number("stale-while-revalidate")?,
        stale_if_error: number("stale-if-error")?,
        no_cache: scope("no-cache"),
        private: scope("private"),
        no_store: is_set("no-store"),
        public: is_true("public"),
        must_revalidate: is_set("must-revalidate"),
        proxy_revalidate: is_set("proxy-revalidate"),
        must_understand: is_set("must-understand"),
        immutable: is_true("immutable"),
        no_transform: is_set("no-transform"),
    })
}

/// `None` for another type; a negative number is 0.
fn seconds(value: &Value) -> Option<u32> {
    let Value::Integer(number) = value else { return None };
    Some(u32::try_from((*number).clamp(0, i64::from(DELTA_MAX))).unwrap_or(DELTA_MAX))
}

fn scope(value: &Value) -> Scope {
    match value {
        Value::Boolean(false) => Scope::Absent,
        Value::String(names) | Value::Token(names) => field_names(names.as_bytes()),
        Value::Boolean(true) | Value::Integer(_) | Value::Other => Scope::Whole,
    }
}

/// `Surrogate-Control: max-age=60+30, no-store, content="ESI/1.0"`. The number behind `+` is how long
/// it may be served stale while it is fetched anew. A directive aimed at another surrogate (`;name`) is
/// not for us. Without `max-age` and `no-store` the field does not govern.
fn surrogate(fields: &HeaderMap) -> Option<AnswerDirectives> {
    let mut read = AnswerDirectives::default();
    let lines = fields.get_all(SURROGATE_CONTROL).iter();
    for directive in lines.flat_map(|line| directives(line.as_bytes())) {
        if directive.name.eq_ignore_ascii_case(b"no-store") {
            read.no_store = true;
        }
        let argument = directive.argument.unwrap_or_default();
        if !directive.name.eq_ignore_ascii_case(b"max-age") || argument.contains(&b';') {
            continue;
        }
        let mut halves = argument.splitn(2, |byte| *byte == b'+');
        let fresh = halves.next().unwrap_or_default();
        let stale = halves.next().and_then(delta_seconds);
        let fresh = delta_seconds(fresh).unwrap_or(0);
        read.max_age = Some(read.max_age.map_or(fresh, |known| known.min(fresh)));
        read.stale_while_revalidate = stale;
    }
    (read.no_store || read.max_age.is_some()).then_some(read)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn effective(lines: &[(&'static str, &'static str)]) -> (Governor, Option<u32>, bool) {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        let Effective { governor, directives } = Effective::of(&fields);
        (governor, directives.max_age, directives.no_store)
    }

    #[test]
    fn the_most_targeted_valid_field_governs_whole() {
        let cc = ("cache-control", "max-age=1, no-store");
        let cdn = |value| effective(&[cc, ("cdn-cache-control", value)]);
        assert_eq!(cdn("max-age=60"), (Governor::Cdn, Some(60), false));
        assert_eq!(cdn("foo"), (Governor::Cdn, None, false));
        assert_eq!(cdn("max-age=-3"), (Governor::Cdn, Some(0), false));
        assert_eq!(cdn("no-store=1"), (Governor::Cdn, None, true));
        let ours = (Governor::CacheControl, Some(1), true);
        for invalid in
            ["", "max-age=\"60\"", "max-age=1.5", "max-age", "max-age=60, &", "Max-Age=3"]
        {
            assert_eq!(cdn(invalid), ours, "`{invalid}`");
        }
    }

    #[test]
    fn surrogate_control_stands_between() {
        let cc = ("cache-control", "max-age=1");
        let surrogate = |value| effective(&[cc, ("surrogate-control", value)]);
        assert_eq!(surrogate("max-age=60+30"), (Governor::Surrogate, Some(60), false));
        assert_eq!(surrogate("no-store"), (Governor::Surrogate, None, true));
        assert_eq!(surrogate("content=\"ESI/1.0\"").0, Governor::CacheControl);
        assert_eq!(surrogate("max-age=60;other").0, Governor::CacheControl);
        assert_eq!(surrogate("max-age=x"), (Governor::Surrogate, Some(0), false));
        let both = [("surrogate-control", "max-age=5"), ("cdn-cache-control", "max-age=7")];
        assert_eq!(effective(&both), (Governor::Cdn, Some(7), false));
    }
}
