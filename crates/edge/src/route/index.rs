//! Routes of one host by path: hashed where the path is known, in order where it is not.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::config::route::{PathRule, Segment};
use crate::hashing::Fnv;

/// A map whose keys come from the config alone, so that no stranger can make them collide.
pub(super) type Map<V> = HashMap<Box<str>, V, BuildHasherDefault<Fnv>>;

/// Position of a route in the file.
pub(super) type Id = u32;

/// Routes by path; every list is in the order of the file.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    exact: Map<Vec<Id>>,
    /// By the literal text that begins the path: prefixes, and patterns by their first segments.
    below: Map<Vec<Id>>,
    /// Lengths of those texts, each once: only these are tried, so that a path of a thousand slashes
    /// costs no more than another.
    lengths: Vec<usize>,
    /// No literal to go by.
    any: Vec<Id>,
}

impl PathIndex {
    /// Adds a route; called in the order of the file.
    pub(super) fn insert(&mut self, path: &PathRule, id: Id) {
        let start = match path {
            PathRule::Exact(path) => {
                self.exact.entry(path.as_str().into()).or_default().push(id);
                return;
            }
            PathRule::Any => String::new(),
            PathRule::Prefix(prefix) => prefix.strip_suffix('/').unwrap_or(prefix).to_owned(),
            PathRule::Pattern(segments) => literal_start(segments),
        };
        if start.is_empty() {
            self.any.push(id);
            return;
        }
        if let Err(at) = self.lengths.binary_search(&start.len()) {
            self.lengths.insert(at, start.len());
        }
        self.below.entry(start.into()).or_default().push(id);
    }

    /// The first route before `best` that may lie at `path` and that `matches`.
    pub(super) fn first(&self, path: &str, best: Id, matches: impl Fn(Id) -> bool) -> Id {
        let scan = |list: &[Id], best: Id| {
            let before = list.iter().copied().take_while(|id| *id < best);
            before.into_iter().find(|id| matches(*id)).unwrap_or(best)
        };
        let mut best = best;
        if !self.exact.is_empty()
            && let Some(list) = self.exact.get(path)
        {
            best = scan(list, best);
        }
        for &length in &self.lengths {
            let Some(start) = path.get(..length) else { break };
            if !matches!(path.as_bytes().get(length), None | Some(b'/')) {
                continue;
            }
            if let Some(list) = self.below.get(start) {
                best = scan(list, best);
            }
        }
        scan(&self.any, best)
    }
}

/// `/users/:id` starts with `/users`; only whole segments count.
fn literal_start(segments: &[Segment]) -> String {
    let mut start = String::new();
    for segment in segments {
        let Segment::Literal(text) = segment else { break };
        start.push('/');
        start.push_str(text);
    }
    start
}

/// True if the path is of this pattern.
pub(super) fn is_of(pattern: &[Segment], path: &str) -> bool {
    walk(pattern, path, |_, _| {}).is_some()
}

/// What the pattern captures under `name`.
pub(super) fn capture<'p>(pattern: &[Segment], path: &'p str, name: &str) -> Option<&'p str> {
    let mut found = None;
    walk(pattern, path, |captured, value| {
        if captured == name {
            found = Some(value);
        }
    })?;
    found
}

/// Walks pattern and path side by side; `None` where they part.
fn walk<'p>(
    pattern: &[Segment],
    path: &'p str,
    mut captured: impl FnMut(&str, &'p str),
) -> Option<()> {
    let mut rest = Some(path.strip_prefix('/')?);
    for segment in pattern {
        let here = rest?;
        let (first, after) = match here.split_once('/') {
            Some((first, after)) => (first, Some(after)),
            None => (here, None),
        };
        match segment {
            Segment::Literal(text) if text == first => {}
            Segment::One(name) if !first.is_empty() => captured(name, first),
            Segment::Rest(name) => {
                captured(name, here);
                return Some(());
            }
            Segment::Literal(_) | Segment::One(_) => return None,
        }
        rest = after;
    }
    rest.is_none().then_some(())
}
