//! May this answer be stored, and for how long (RFC 9111 §3, §4.2.1)?

use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED,
    PROXY_AUTHENTICATE, SET_COOKIE,
};
use http::{Method, StatusCode};

use super::age::{Arrival, initial_age};
use super::dates::DateField;
use super::directives::{AnswerDirectives, RequestDirectives, Scope, members};
use super::freshness::{Flag, Freshness};
use super::reason::{Refusal, Rule};
use super::targeted::{Effective, Governor};
use super::{AnswerView, RequestView, vary};
use crate::cache::key::is_in_key;
use crate::cache::tags::tags;
use crate::config::policy::{Caching, Policy};

/// A guess is at most a day (RFC 9111 §4.2.2 asks for a bound and names none).
const MAX_HEURISTIC: Duration = Duration::from_secs(86_400);

/// Permission to store an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// How long, by which rule, and what is forbidden.
    pub freshness: Freshness,
    /// Fields that must not be stored: named by `Connection`, by `no-cache="…"`, by `private="…"`,
    /// hop-by-hop ones, and `Set-Cookie` under the policy's exception. The client whose request made
    /// this answer may still be shown those that are not hop-by-hop.
    pub stripped: Vec<HeaderName>,
    /// Request fields that tell variants apart; see [`vary::secondary_key`].
    pub vary: Vec<HeaderName>,
}

/// Decides on storing. `request` is what the origin was shown.
///
/// # Errors
/// The first rule that forbids it.
pub fn may_store(
    request: RequestView<'_>,
    answer: AnswerView<'_>,
    policy: Option<&Policy>,
    arrival: &Arrival,
) -> Result<Grant, Refusal> {
    refused_by_request(request, policy)?;
    let effective = Effective::of(answer.fields);
    refused_by_answer(answer, &effective.directives)?;
    refused_as_personal(request, answer, &effective, policy)?;
    let vary = refused_by_vary(answer, policy)?;
    let (rule, lifetime) = lifetime(answer, &effective, policy, arrival)?;
    let age = initial_age(answer.fields, arrival);
    let freshness = with_permissions(
        Freshness::new(rule, lifetime, age),
        answer.status,
        &effective.directives,
        policy,
    );
    refused_as_useless(answer, &freshness)?;
    let is_personal = policy.is_none()
        && (request.fields.contains_key(COOKIE) || request.fields.contains_key(AUTHORIZATION));
    // Whoever grants such an answer no time means that every user is asked for: an outage must not show
    // one of them what was made for another.
    let is_never_unasked =
        is_personal && !freshness.is_fresh(freshness.initial_age()) && !says_stale(&effective);
    let freshness = freshness.with_if(|| is_never_unasked, Flag::NoCache);
    Ok(Grant { freshness, stripped: stripped(answer, &effective.directives), vary })
}

/// What a request alone forbids; true before the origin is asked as well.
///
/// # Errors
/// Method, policy, `no-store`.
pub fn refused_by_request(
    request: RequestView<'_>,
    policy: Option<&Policy>,
) -> Result<(), Refusal> {
    if request.method != Method::GET {
        return Err(Refusal::Method);
    }
    if policy.is_some_and(|policy| policy.caching == Caching::Off) {
        return Err(Refusal::PolicyOff);
    }
    if RequestDirectives::of(request.fields).no_store {
        return Err(Refusal::RequestNoStore);
    }
    Ok(())
}

fn refused_by_answer(answer: AnswerView<'_>, held: &AnswerDirectives) -> Result<(), Refusal> {
    let status = answer.status;
    if status.is_informational() || matches!(status.as_u16(), 206 | 304) {
        return Err(Refusal::Status);
    }
    if held.must_understand {
        // It overrides no-store for those who know the status (RFC 9111 §5.2.2.3).
        if !is_understood(status) {
            return Err(Refusal::NotUnderstood);
        }
    } else if held.no_store {
        return Err(Refusal::NoStore);
    }
    if held.private == Scope::Whole {
        return Err(Refusal::Private);
    }
    tags(answer.fields).map_err(|_| Refusal::TooManyTags)?;
    Ok(())
}

fn refused_as_personal(
    request: RequestView<'_>,
    answer: AnswerView<'_>,
    effective: &Effective,
    policy: Option<&Policy>,
) -> Result<(), Refusal> {
    let held = &effective.directives;
    if request.fields.contains_key(AUTHORIZATION) {
        let is_permitted = held.public || held.s_maxage.is_some() || held.must_revalidate;
        let is_granted = match policy {
            // Under a policy an origin that saw credentials saw more than the key holds.
            Some(policy) => {
                policy.exceptions.ignores_authorization
                    || (is_permitted && is_in_key(&AUTHORIZATION, policy))
            }
            None => is_permitted,
        };
        if !is_granted {
            return Err(Refusal::Authorization);
        }
    }
    // Under a policy only cookies that are in the key are forwarded.
    if policy.is_none() && request.fields.contains_key(COOKIE) {
        let is_granted = held.public || held.s_maxage.is_some() || effective.is_targeted();
        if !is_granted {
            return Err(Refusal::Cookie);
        }
    }
    let strips = policy.is_some_and(|policy| policy.exceptions.strips_set_cookie);
    if answer.fields.contains_key(SET_COOKIE) && !strips {
        return Err(Refusal::SetCookie);
    }
    Ok(())
}

fn refused_by_vary(
    answer: AnswerView<'_>,
    policy: Option<&Policy>,
) -> Result<Vec<HeaderName>, Refusal> {
    let names = vary::names(answer.fields)?;
    let is_secret = |name: &&HeaderName| **name == COOKIE || **name == AUTHORIZATION;
    let is_keyed = |name| policy.is_some_and(|policy| is_in_key(name, policy));
    if names.iter().filter(is_secret).all(is_keyed) { Ok(names) } else { Err(Refusal::VarySecret) }
}

fn lifetime(
    answer: AnswerView<'_>,
    effective: &Effective,
    policy: Option<&Policy>,
    arrival: &Arrival,
) -> Result<(Rule, Duration), Refusal> {
    if let Some(explicit) = explicit_lifetime(answer, effective, arrival) {
        return Ok(explicit);
    }
    if effective.directives.no_cache == Scope::Whole {
        return Ok((Rule::NoCache, Duration::ZERO));
    }
    let policy = policy.ok_or(Refusal::NoFreshness)?;
    let is_cacheable = is_heuristically_cacheable(answer.status);
    match policy.caching {
        _ if is_error(answer.status) => {
            policy.error_ttl.map(|ttl| (Rule::PolicyErrorTtl, ttl)).ok_or(Refusal::NoFreshness)
        }
        Caching::GrantedOr(ttl) if is_cacheable => Ok((Rule::PolicyTtl, ttl)),
        Caching::Granted if policy.is_heuristic && is_cacheable => {
            heuristic_lifetime(answer, arrival).ok_or(Refusal::NoFreshness)
        }
        Caching::Granted | Caching::GrantedOr(_) | Caching::Off => Err(Refusal::NoFreshness),
    }
}

/// What the answer itself says, in the order of RFC 9111 §4.2.1.
fn explicit_lifetime(
    answer: AnswerView<'_>,
    effective: &Effective,
    arrival: &Arrival,
) -> Option<(Rule, Duration)> {
    let held = &effective.directives;
    let number = held.s_maxage.map(|seconds| (Rule::SMaxage, seconds));
    if let Some((rule, seconds)) = number.or(held.max_age.map(|seconds| (Rule::MaxAge, seconds))) {
        let rule = match effective.governor {
            Governor::Cdn => Rule::CdnCacheControl,
            Governor::Surrogate => Rule::SurrogateControl,
            Governor::CacheControl => rule,
        };
        return Some((rule, Duration::from_secs(seconds.into())));
    }
    if effective.is_targeted() {
        return None; // it overrides Expires as well (RFC 9213 §2.2)
    }
    match DateField::of(answer.fields, &EXPIRES, arrival.wall) {
        DateField::Absent => None,
        DateField::Invalid => Some((Rule::Expires, Duration::ZERO)),
        DateField::At(expires) => {
            let made_at = arrival.made_at(answer.fields);
            Some((Rule::Expires, expires.duration_since(made_at).unwrap_or_default()))
        }
    }
}

fn heuristic_lifetime(answer: AnswerView<'_>, arrival: &Arrival) -> Option<(Rule, Duration)> {
    let modified = DateField::of(answer.fields, &LAST_MODIFIED, arrival.wall).time()?;
    let unchanged = arrival.made_at(answer.fields).duration_since(modified).ok()?;
    Some((Rule::Heuristic, (unchanged / 10).min(MAX_HEURISTIC)))
}

fn with_permissions(
    freshness: Freshness,
    status: StatusCode,
    held: &AnswerDirectives,
    policy: Option<&Policy>,
) -> Freshness {
    let said = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let (swr, sie) = (said(held.stale_while_revalidate), said(held.stale_if_error));
    // A policy's patience is for good answers: a stored error is never worth more than its time.
    let policy = policy.filter(|_| !is_error(status));
    let policy_swr = policy.and_then(|policy| policy.stale_while_revalidate);
    let policy_sie = policy.and_then(|policy| policy.stale_if_error);
    let last_resort = is_error(status).then_some(Duration::ZERO);
    freshness
        .with_swr(swr.or(policy_swr))
        .with_sie(sie.or(policy_sie).or(last_resort))
        .with_if(|| swr.is_none() && policy_swr.is_some(), Flag::PolicySwr)
        .with_if(|| sie.is_none() && policy_sie.is_some(), Flag::PolicySie)
        .with_if(|| held.must_revalidate, Flag::MustRevalidate)
        .with_if(|| held.proxy_revalidate, Flag::ProxyRevalidate)
        .with_if(|| held.no_cache == Scope::Whole, Flag::NoCache)
        .with_if(|| held.s_maxage.is_some(), Flag::SMaxage)
        .with_if(|| held.immutable, Flag::Immutable)
}

fn says_stale(effective: &Effective) -> bool {
    let held = &effective.directives;
    held.stale_while_revalidate.is_some() || held.stale_if_error.is_some()
}

/// Stale on arrival, it is worth its place only if the origin can confirm it, or somebody explicitly
/// wants it stale.
fn refused_as_useless(answer: AnswerView<'_>, freshness: &Freshness) -> Result<(), Refusal> {
    let has_validator =
        answer.fields.contains_key(ETAG) || answer.fields.contains_key(LAST_MODIFIED);
    let must_ask = freshness.has(Flag::NoCache);
    let allows_stale = !must_ask
        && !freshness.has(Flag::MustRevalidate)
        && !freshness.has(Flag::ProxyRevalidate)
        && freshness.staleness(freshness.initial_age())
            < freshness.swr().max(freshness.sie()).unwrap_or_default();
    let is_fresh = !must_ask && freshness.is_fresh(freshness.initial_age());
    let is_useful = has_validator || is_fresh || allows_stale;
    if is_useful { Ok(()) } else { Err(Refusal::NothingToReuse) }
}

fn stripped(answer: AnswerView<'_>, held: &AnswerDirectives) -> Vec<HeaderName> {
    let named = answer.fields.get_all(CONNECTION).iter().flat_map(|line| members(line.as_bytes()));
    let mut names: Vec<HeaderName> =
        named.filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    names.extend_from_slice(held.no_cache.names());
    names.extend_from_slice(held.private.names());
    names.extend(HOP_BY_HOP);
    names.push(SET_COOKIE);
    names.retain(|name| answer.fields.contains_key(name) && *name != DATE);
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// Fields that belong to one connection or one proxy (RFC 9110 §7.6.1, RFC 9111 §3.1).
pub const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    http::header::TE,
    http::header::TRAILER,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    PROXY_AUTHENTICATE,
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

/// Statuses whose meaning for caches we know: those of RFC 9110 that are whole and final.
pub fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// Good answers that a policy's `ttl` or guess may cover: those that are heuristically cacheable
/// (RFC 9110 §15.1) and no error.
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308)
}

/// Errors that the policy's `error_ttl` covers: those that say something on the resource or the
/// origin, not on who asks.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 405 | 410 | 414 | 500..=599)
}
