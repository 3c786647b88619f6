//! What is purged: URLs, prefixes and tags, each by itself or together.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Object;
use super::glance::{Bears, Glance};
use crate::cache::key::url_of;
use crate::cache::tags::Tag;

/// What becomes of what is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is removed.
    #[default]
    Gone,
    /// It is stale from now on: what allows stale use still holds, and what forbids it too.
    Stale,
}

/// What a purge takes: whatever is in one of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    urls: HashSet<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    tags: Vec<Tag>,
}

impl Selection {
    /// All that is stored.
    pub fn everything() -> Selection {
        Selection { prefixes: vec![Box::default()], ..Selection::default() }
    }

    /// Everything stored for a URL, whatever fields and cookies its keys hold.
    pub fn add_url(&mut self, url: &[u8]) {
        self.urls.insert(url.into());
    }

    /// Every URL that begins with this.
    pub fn add_prefix(&mut self, prefix: &[u8]) {
        self.prefixes.push(prefix.into());
    }

    /// Everything that bears this tag.
    pub fn add_tag(&mut self, tag: Tag) {
        self.tags.push(tag);
    }

    /// True if it takes what lies under `key` and bears the tags of which `bears` says so.
    pub fn takes(&self, key: &[u8], bears: impl Fn(Tag) -> bool) -> bool {
        self.takes_key(key) || self.tags.iter().any(|tag| bears(*tag))
    }

    /// The same, whatever tags it bears.
    pub fn takes_key(&self, key: &[u8]) -> bool {
        // The key lies elsewhere in memory, and most purges are by tag: it is not looked at in vain.
        if !self.has_keys() {
            return false;
        }
        let url = url_of(key);
        self.prefixes.iter().any(|prefix| url.starts_with(prefix))
            || (!self.urls.is_empty() && self.urls.contains(url))
    }

    /// The same of an object; it is looked at only where a glance is not enough.
    pub(super) fn takes_object(&self, object: &Object, glance: &Glance) -> bool {
        match self.takes_at_a_glance(glance) {
            Some(takes) => takes,
            None => self.takes(object.key(), |tag| object.has_tag(tag)),
        }
    }

    /// Nothing where the object must be looked at.
    fn takes_at_a_glance(&self, glance: &Glance) -> Option<bool> {
        if self.has_keys() {
            return None;
        }
        let mut takes = Some(false);
        for tag in &self.tags {
            match glance.bears(*tag) {
                Bears::Yes => return Some(true),
                Bears::Maybe => takes = None,
                Bears::No => {}
            }
        }
        takes
    }

    /// True if some of it is told by URL.
    pub fn has_keys(&self) -> bool {
        !self.urls.is_empty() || !self.prefixes.is_empty()
    }

    pub(super) fn has_prefixes(&self) -> bool {
        !self.prefixes.is_empty()
    }

    pub(super) fn urls(&self) -> impl Iterator<Item = &[u8]> {
        self.urls.iter().map(|url| &url[..])
    }

    /// About what it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let texts: usize = self.urls.iter().chain(&self.prefixes).map(|text| text.len() + 64).sum();
        256 + texts + self.tags.len() * size_of::<Tag>()
    }
}
