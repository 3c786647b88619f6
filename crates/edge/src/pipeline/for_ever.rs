//! What an origin says nothing of, and its name says everything: it never changes.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

use crate::cache::rules::{Grant, Rule};
use crate::config::policy::{Caching, Policy};
use crate::exchange::{FOR_EVER, is_fingerprinted};

/// A policy that gives so much to what says nothing means files that never change under their name.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Where the policy lets a file be kept for a year because its origin says nothing, clients keep it as well.
/// The name must bear that out: it carries a digest.
pub(super) fn is_meant(policy: Option<&Policy>, path: &str) -> bool {
    let caching = policy.map(|policy| policy.caching);
    let is_year = matches!(caching, Some(Caching::GrantedOr(ttl)) if ttl >= A_YEAR);
    is_year && is_fingerprinted(path)
}

/// Says it, if the origin said nothing.
pub(super) fn say(fields: &mut HeaderMap, grant: &Grant) {
    if grant.freshness.rule() == Rule::PolicyTtl {
        fields.entry(CACHE_CONTROL).or_insert(FOR_EVER);
    }
}
