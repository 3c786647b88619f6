//! Tags of an answer: names that it shares with others, to be purged with them.
//!
//! In: `Surrogate-Key` (separated by blanks) and `Cache-Tag` (separated by commas) of an answer or of a
//! `PURGE`. Out: each tag as a number of eight bytes. What bears more tags than are kept is an error and
//! not a shorter list: a purge must never miss what was tagged.

use std::hash::{DefaultHasher, Hasher};

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What Fastly and Varnish call it.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// What Cloudflare and Akamai call it.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Most tags of an answer.
pub const MAX_TAGS: usize = 1_000;
/// Longest tag.
pub const MAX_TAG_BYTES: usize = 1_024;
/// All tags of an answer.
pub const MAX_ALL_BYTES: usize = 16 * 1_024;

/// A tag as it is kept and compared: upper and lower case are told apart. Two names fall together with a
/// chance of one in 2^64, and then too much is purged, never too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

/// More or longer tags than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more or longer tags than are kept: {MAX_TAGS}, {MAX_TAG_BYTES} bytes each, {MAX_ALL_BYTES} bytes in all"
)]
pub struct TooMany;

impl Tag {
    /// What it takes in an object.
    pub const BYTES: usize = size_of::<u64>();

    /// The tag of this name.
    pub fn of(name: &[u8]) -> Tag {
        let mut hasher = DefaultHasher::new();
        hasher.write(name);
        Tag(hasher.finish())
    }

    /// As it lies in an object.
    pub fn to_bytes(self) -> [u8; Tag::BYTES] {
        self.0.to_le_bytes()
    }

    /// From there.
    pub fn from_bytes(bytes: [u8; Tag::BYTES]) -> Tag {
        Tag(u64::from_le_bytes(bytes))
    }
}

/// The tags of an answer, each once.
///
/// # Errors
/// More than are kept.
pub fn tags(fields: &HeaderMap) -> Result<Vec<Tag>, TooMany> {
    let (mut tags, mut bytes) = (Vec::new(), 0);
    for name in names(fields) {
        bytes += name.len();
        if name.len() > MAX_TAG_BYTES || bytes > MAX_ALL_BYTES {
            return Err(TooMany);
        }
        tags.push(Tag::of(name));
    }
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > MAX_TAGS { Err(TooMany) } else { Ok(tags) }
}

/// Their names, in order.
pub fn names(fields: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = |name: HeaderName| fields.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let keys = lines(SURROGATE_KEY).flat_map(separated_by_blanks);
    keys.chain(lines(CACHE_TAG).flat_map(separated_by_commas))
}

/// `a b c`.
pub fn separated_by_blanks(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty())
}

/// `a, b, c`; a name may hold blanks.
pub fn separated_by_commas(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

/// True for the fields that hold tags.
pub fn is_for_tags(name: &HeaderName) -> bool {
    *name == SURROGATE_KEY || *name == CACHE_TAG
}

/// Takes the fields that hold tags off what a client gets.
pub fn hide(fields: &mut HeaderMap) {
    fields.remove(SURROGATE_KEY);
    fields.remove(CACHE_TAG);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("it is plain ASCII");
        let mut fields = HeaderMap::new();
        for (name, text) in lines {
            fields.append(name, value(text));
        }
        fields
    }

    fn of(names: &[&str]) -> Vec<Tag> {
        let mut tags: Vec<Tag> = names.iter().map(|name| Tag::of(name.as_bytes())).collect();
        tags.sort_unstable();
        tags
    }

    #[test]
    fn both_fields_are_read_each_in_its_own_way() {
        let fields = fields(&[
            (SURROGATE_KEY, " product-7  shelf\tshop"),
            (CACHE_TAG, "product-7,, on sale ,a"),
            (SURROGATE_KEY, "more"),
        ]);
        let expected = of(&["product-7", "shelf", "shop", "on sale", "a", "more"]);
        assert_eq!(tags(&fields), Ok(expected));
        assert_eq!(tags(&HeaderMap::new()), Ok(Vec::new()));
    }

    #[test]
    fn upper_and_lower_case_are_told_apart() {
        assert_ne!(Tag::of(b"Shop"), Tag::of(b"shop"));
    }

    #[test]
    fn a_tag_comes_back_from_its_bytes() {
        let tag = Tag::of(b"product-7");
        assert_eq!(Tag::from_bytes(tag.to_bytes()), tag);
    }

    #[test]
    fn what_is_not_kept_whole_is_not_kept() {
        let many: Vec<String> = (0..=MAX_TAGS).map(|n| n.to_string()).collect();
        assert_eq!(tags(&fields(&[(SURROGATE_KEY, &many.join(" "))])), Err(TooMany));
        assert!(tags(&fields(&[(SURROGATE_KEY, &many[1..].join(" "))])).is_ok());
        let long = "x".repeat(MAX_TAG_BYTES + 1);
        assert_eq!(tags(&fields(&[(CACHE_TAG, &long)])), Err(TooMany));
        assert!(tags(&fields(&[(CACHE_TAG, &long[1..])])).is_ok());
        let all = vec!["y".repeat(1_000); 17].join(",");
        assert_eq!(tags(&fields(&[(CACHE_TAG, &all)])), Err(TooMany));
    }
}
