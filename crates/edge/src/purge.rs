//! The part of the acting door that purges: what operators and applications write, and what it means.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::act::split;
pub use crate::cache::store::Effect;
use crate::cache::store::Selection;
use crate::cache::tags::{MAX_TAG_BYTES, Tag};
use crate::edge::Edge;
use crate::exchange::Scheme;

/// Purges at once; each waits for its turn to go through the store, which is for all that wait by then.
pub(crate) const MOST_AT_ONCE: usize = 64;
/// By how much the thread of a purge steps back: under load it gets a tenth of a core.
const NICE: i32 = 10;
/// Things that the journal names; of the rest it says how many they are.
const NAMED: usize = 3;
/// Longest name in the journal.
const NAMED_CHARS: usize = 120;

/// Does it, or says what it would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Does it.
    Do,
    /// Counts only.
    Count,
}

/// What is to be purged: whatever one of these names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// Addresses, with every variant that their answers have.
    pub urls: Vec<String>,
    /// Beginnings of addresses.
    pub prefixes: Vec<String>,
    /// Hosts, with their port if it is not the scheme's own.
    pub hosts: Vec<String>,
    /// Tags of answers.
    pub tags: Vec<String>,
    /// All that is stored.
    pub everything: bool,
}

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// What is wrong with the wish, in a sentence.
    #[error("{0}")]
    Wish(String),
    /// Too many others wait.
    #[error("too many purges at once")]
    Busy,
    /// It did not come to an end.
    #[error("the purge ended early")]
    Lost,
}

/// [`purge`] on a thread of its own, one that leaves the processor to those who serve. Whoever waits may
/// go: it is done all the same.
///
/// # Errors
/// See [`PurgeError`].
pub async fn purge_aside(
    edge: &Arc<Edge>,
    wish: Wish,
    effect: Effect,
    mode: Mode,
    who: String,
) -> Result<u64, PurgeError> {
    let seat = Arc::clone(&edge.purging).try_acquire_owned().map_err(|_| PurgeError::Busy)?;
    let edge = Arc::clone(edge);
    let (tell, told) = oneshot::channel();
    let work = move || {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "purges have the priority of those who serve");
        }
        // Whoever asked may have left.
        let tell = |purged| drop(tell.send(purged));
        match wish.selection(&edge) {
            Err(why) => tell(Err(why)),
            Ok(selection) if mode == Mode::Count => tell(Ok(edge.cache.memory.count(&selection))),
            Ok(selection) => {
                carry_out(&edge, selection, &wish, effect, &who, |count| tell(Ok(count)));
            }
        }
        drop(seat);
    };
    let thread = std::thread::Builder::new().name("purge".into()).spawn(work);
    thread.map_err(|_| PurgeError::Lost)?;
    told.await.map_err(|_| PurgeError::Lost)?.map_err(PurgeError::Wish)
}

/// Purges what `wish` names, in the name of `who`, and says how many answers that were: every variant is
/// one. Goes through the whole store: not for a runtime's thread.
///
/// # Errors
/// What is wrong with the wish, in a sentence.
pub fn purge(
    edge: &Edge,
    wish: &Wish,
    effect: Effect,
    mode: Mode,
    who: &str,
) -> Result<u64, String> {
    let selection = wish.selection(edge)?;
    if mode == Mode::Count {
        return Ok(edge.cache.memory.count(&selection));
    }
    let mut purged = 0;
    carry_out(edge, selection, wish, effect, who, |count| purged = count);
    Ok(purged)
}

/// Purges; tells how many answers that were as soon as that is known, and frees them then.
fn carry_out(
    edge: &Edge,
    selection: Selection,
    wish: &Wish,
    effect: Effect,
    who: &str,
    tell: impl FnOnce(u64),
) {
    edge.cache.purge(selection, effect, |count| {
        let what = wish.describe();
        let plural = if count == 1 { "" } else { "s" };
        let text = match effect {
            Effect::Gone => format!("purged {what}: {count} answer{plural}"),
            Effect::Stale => format!("made {what} stale: {count} answer{plural}"),
        };
        edge.journal.write(who, text);
        tell(count);
    });
}

impl Wish {
    fn selection(&self, edge: &Edge) -> Result<Selection, String> {
        if self.everything {
            return Ok(Selection::everything());
        }
        let mut selection = Selection::default();
        let snapshot = edge.snapshot();
        for url in &self.urls {
            let (scheme, authority, uri) = split(url)?;
            for key in snapshot.stored_url(scheme, &authority, &uri).keys() {
                selection.add_url(key);
            }
        }
        for prefix in &self.prefixes {
            // With its `/` after the host: `https://shop.example` is no beginning of another host.
            let (scheme, authority, uri) = split(prefix)?;
            selection.add_prefix(format!("{}://{authority}{uri}", scheme.as_str()).as_bytes());
        }
        for host in &self.hosts {
            for scheme in [Scheme::Http, Scheme::Https] {
                let (_, authority, uri) = split(&format!("{}://{host}", scheme.as_str()))?;
                if uri != "/" || !authority.eq_ignore_ascii_case(host) {
                    return Err(format!("`{host}` is not a host such as `shop.example`"));
                }
                selection.add_prefix(format!("{}://{authority}/", scheme.as_str()).as_bytes());
            }
        }
        for tag in &self.tags {
            if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
                return Err(format!(
                    "a tag has 1 to {MAX_TAG_BYTES} bytes, this one {}",
                    tag.len()
                ));
            }
            selection.add_tag(Tag::of(tag.as_bytes()));
        }
        if selection == Selection::default() {
            return Err("nothing is named that could be purged".into());
        }
        Ok(selection)
    }

    fn describe(&self) -> String {
        if self.everything {
            return "everything".into();
        }
        let kinds = [
            ("", &self.urls),
            ("prefix ", &self.prefixes),
            ("host ", &self.hosts),
            ("tag ", &self.tags),
        ];
        let each = kinds.iter().flat_map(|(kind, all)| all.iter().map(move |name| (kind, name)));
        let count = each.clone().count();
        let named = each.take(NAMED).map(|(kind, name)| {
            let name: String = name.escape_debug().take(NAMED_CHARS).collect();
            format!("{kind}`{name}`")
        });
        let mut text = named.collect::<Vec<_>>().join(", ");
        if count > NAMED {
            text = format!("{text} and {} more", count - NAMED);
        }
        text
    }
}
