//! What the store has for a request, and whether it may be used.

use std::sync::Arc;
use std::time::Duration;

use super::rules::serve::Verdict;
use super::rules::{self, Freshness, RequestView, Rule, vary};
use super::store::{self, Memory, Object, Varying};
use crate::config::policy::Policy;

/// A stored answer and how old it is now.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The answer.
    pub object: Arc<Object>,
    /// Its `current_age` (RFC 9111 §4.2.3).
    pub age: Duration,
}

impl Stored {
    /// The law of the object.
    pub fn freshness(&self) -> Freshness {
        self.object.freshness()
    }

    /// Seconds left; negative once stale.
    pub fn ttl(&self) -> i64 {
        self.freshness().ttl(self.age)
    }
}

/// What a look-up comes to.
#[derive(Debug, Clone)]
pub enum Found {
    /// It may be used as it is; the rule says why, if it is stale.
    Usable(Stored, Option<Rule>),
    /// It may be used, and is to be fetched anew behind.
    StaleWhileRevalidate(Stored, Rule),
    /// It may be used once the origin has confirmed it.
    Validate(Stored, Rule),
    /// Nothing under this key.
    Missing,
    /// Something under this key, but nothing for the fields that `Vary` names.
    MissingVariant(Arc<Varying>),
}

/// Looks under `key`. Bounded work, no I/O; the lock of one shard of the store for a moment.
pub fn look(
    memory: &Memory,
    key: &[u8],
    request: RequestView<'_>,
    policy: Option<&Policy>,
    now_ms: u64,
) -> Found {
    let object = match memory.find(key) {
        None => return Found::Missing,
        Some(store::Found::Object(object)) => object,
        Some(store::Found::Varies(varying)) => {
            let mut secondary = Vec::with_capacity(64);
            vary::secondary_key(varying.names(), request.fields, policy, &mut secondary);
            match memory.variant(&varying, &secondary) {
                Some(object) => object,
                None => return Found::MissingVariant(varying),
            }
        }
    };
    let stored = at(object, now_ms);
    if memory.must_validate(&stored.object) {
        // An unsafe request went to this URI since it was stored (RFC 9111 §4.4).
        return Found::Validate(stored, Rule::Stale);
    }
    match rules::decide(request, &stored.freshness(), stored.age, policy) {
        Verdict::Fresh => Found::Usable(stored, None),
        Verdict::StaleAccepted => Found::Usable(stored, Some(Rule::RequestMaxStale)),
        Verdict::StaleWhileRevalidate(rule) => Found::StaleWhileRevalidate(stored, rule),
        Verdict::Validate(rule) | Verdict::OnlyIfCached(rule) => Found::Validate(stored, rule),
    }
}

/// Would an answer of this age be used for a request without asking the origin?
pub fn may_use(
    request: RequestView<'_>,
    freshness: &Freshness,
    age: Duration,
    policy: Option<&Policy>,
) -> bool {
    match rules::decide(request, freshness, age, policy) {
        Verdict::Fresh | Verdict::StaleAccepted | Verdict::StaleWhileRevalidate(_) => true,
        Verdict::Validate(_) | Verdict::OnlyIfCached(_) => false,
    }
}

/// An object with its age at `now_ms`.
pub fn at(object: Arc<Object>, now_ms: u64) -> Stored {
    let resident = Duration::from_millis(now_ms.saturating_sub(object.stored_at_ms()));
    let age = object.freshness().age(resident);
    Stored { object, age }
}
