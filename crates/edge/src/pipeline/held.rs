//! What is held when the origin is asked, and how it is asked about that.

use std::sync::Arc;

use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};

use crate::cache::lookup::Stored;
use crate::cache::rules::conditional::{Validators, add_validators, is_tag, strip_conditions};
use crate::cache::rules::freshen::confirms;
use crate::cache::store::Object;

/// Length of a list of tags that every server takes.
const MOST_TAG_BYTES: usize = 4_096;

/// What is held that the origin may confirm.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// Nothing.
    Nothing,
    /// An answer to this request that may not be used unasked.
    Answer(Stored),
    /// Answers to requests that differ in what `Vary` names: one of them may be right for this one too.
    Variants(Vec<Arc<Object>>),
}

impl Held {
    /// What may stand in for an origin that fails.
    pub(super) fn answer(self) -> Option<Stored> {
        match self {
            Held::Answer(stored) => Some(stored),
            Held::Nothing | Held::Variants(_) => None,
        }
    }

    /// The same without taking it.
    pub(super) fn stored(&self) -> Option<&Stored> {
        match self {
            Held::Answer(stored) => Some(stored),
            Held::Nothing | Held::Variants(_) => None,
        }
    }

    /// Makes `fields` ask whether what is held is good.
    pub(super) fn ask(&self, fields: &mut HeaderMap) {
        match self {
            Held::Nothing => {}
            Held::Answer(held) => {
                let stored = held.object.fields();
                add_validators(fields, &Validators::of(&stored));
            }
            // RFC 9111 §4.3.1.
            Held::Variants(variants) => {
                if let Some(tags) = any_of(variants.iter().filter_map(|held| held.etag())) {
                    strip_conditions(fields);
                    fields.insert(IF_NONE_MATCH, tags);
                }
            }
        }
    }

    /// What a 304 with these fields speaks of (RFC 9111 §4.3.3).
    pub(super) fn confirmed_by(&self, not_modified: &HeaderMap) -> Option<Arc<Object>> {
        let is_meant =
            |object: &Arc<Object>| confirms(&Validators::of(&object.fields()), not_modified);
        match self {
            Held::Nothing => None,
            Held::Answer(held) => Some(&held.object).filter(|object| is_meant(object)).cloned(),
            // One that names none of several means none.
            Held::Variants(variants) => {
                let may_be_told = not_modified.contains_key(ETAG) || variants.len() == 1;
                let meant = variants.iter().filter(|object| may_be_told && is_meant(object));
                meant.max_by_key(|object| object.stored_at_ms()).cloned()
            }
        }
    }
}

/// A list of tags, each once, as `If-None-Match` has it.
fn any_of<'t>(tags: impl Iterator<Item = &'t [u8]>) -> Option<HeaderValue> {
    let mut known: Vec<&[u8]> = Vec::new();
    let mut length = 0;
    for tag in tags.filter(|tag| is_tag(tag)) {
        length += tag.len() + 2;
        if length <= MOST_TAG_BYTES && !known.contains(&tag) {
            known.push(tag);
        }
    }
    if known.is_empty() { None } else { HeaderValue::from_bytes(&known.join(&b", "[..])).ok() }
}
