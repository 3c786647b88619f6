//! May this stored answer be used for this request (RFC 9111 §4)?

use std::time::Duration;

use super::RequestView;
use super::directives::RequestDirectives;
use super::freshness::{Flag, Freshness};
use super::reason::Rule;
use crate::config::policy::Policy;

/// How long a stale answer may stand in for an origin that cannot be reached, where neither the answer
/// nor the policy says anything: a week, so that a long weekend's outage is covered. RFC 9111 §4.2.4
/// allows it and sets no bound.
pub const DISCONNECTED_STALENESS: Duration = Duration::from_secs(7 * 86_400);

/// What to do with a stored answer that matches a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Fresh,
    /// Serve it stale, and fetch it anew behind.
    StaleWhileRevalidate(Rule),
    /// Serve it stale: the client accepts that.
    StaleAccepted,
    /// Ask the origin first. If that fails, see [`may_serve_stale_on_error`].
    Validate(Rule),
    /// The origin would have to be asked, and the request forbids that: 504 (RFC 9111 §5.2.1.7).
    OnlyIfCached(Rule),
}

/// How asking the origin failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No answer: no connection, a broken one, a timeout, an open breaker.
    Unreachable,
    /// A 500, 502, 503 or 504 (RFC 5861 §4).
    ServerError,
    /// It was not asked, so that it is not overloaded more; the policy lets what is stored be used for so
    /// much longer then.
    Shed(Duration),
}

/// Decides on a stored answer of this `age`.
pub fn decide(
    request: RequestView<'_>,
    stored: &Freshness,
    age: Duration,
    policy: Option<&Policy>,
) -> Verdict {
    let mut asked = RequestDirectives::of(request.fields);
    if policy.is_some_and(|policy| policy.ignores_client_no_cache) {
        (asked.no_cache, asked.max_age, asked.min_fresh) = (false, None, None);
    }
    match judge(asked, stored, age) {
        Verdict::Validate(rule) if asked.only_if_cached => Verdict::OnlyIfCached(rule),
        verdict => verdict,
    }
}

fn judge(asked: RequestDirectives, stored: &Freshness, age: Duration) -> Verdict {
    if stored.has(Flag::NoCache) {
        return Verdict::Validate(Rule::NoCache);
    }
    if asked.no_cache {
        return Verdict::Validate(Rule::RequestNoCache);
    }
    let is_fresh = stored.is_fresh(age);
    // RFC 8246 §2: while fresh, an immutable answer is not validated for less than a no-cache.
    if is_fresh && stored.has(Flag::Immutable) {
        return Verdict::Fresh;
    }
    if asked.max_age.is_some_and(|limit| age > seconds(limit) || limit == 0) {
        return Verdict::Validate(Rule::RequestMaxAge);
    }
    if asked.min_fresh.is_some_and(|wanted| age + seconds(wanted) > stored.lifetime()) {
        return Verdict::Validate(if is_fresh { Rule::RequestMinFresh } else { Rule::Stale });
    }
    if is_fresh {
        return Verdict::Fresh;
    }
    judge_stale(asked, stored, stored.staleness(age))
}

fn judge_stale(asked: RequestDirectives, stored: &Freshness, staleness: Duration) -> Verdict {
    if let Some(rule) = revalidation_rule(stored) {
        return Verdict::Validate(rule);
    }
    let accepts = asked.max_stale.is_some_and(|limit| staleness <= seconds(limit));
    // A request with `max-age` and no `max-stale` wants nothing stale (RFC 9111 §5.2.1.1).
    let insists = asked.max_age.is_some() && asked.max_stale.is_none();
    if !insists && stored.swr().is_some_and(|limit| staleness < limit) {
        return Verdict::StaleWhileRevalidate(swr_rule(stored));
    }
    if accepts && !stored.has(Flag::SMaxage) {
        return Verdict::StaleAccepted;
    }
    Verdict::Validate(Rule::Stale)
}

/// May the stored answer be served although the origin, asked, failed? `Ok` names the rule that permits
/// it, `Err` the one that forbids it; both belong into `Cache-Status`.
///
/// Restrictions of the *request* are not asked here: they are advice (RFC 9111 §5.2.1), and somebody who
/// presses "reload" while the origin is down is better served with what there is.
///
/// # Errors
/// `must-revalidate`, `proxy-revalidate`, `no-cache`, `s-maxage` without an explicit permission, or it has
/// been stale for too long.
pub fn may_serve_stale_on_error(
    stored: &Freshness,
    age: Duration,
    failure: Failure,
) -> Result<Rule, Rule> {
    if stored.has(Flag::NoCache) {
        return Err(Rule::NoCache);
    }
    if stored.is_fresh(age) {
        return Ok(stored.rule());
    }
    if let Some(rule) = revalidation_rule(stored) {
        return Err(rule);
    }
    let staleness = stored.staleness(age);
    let permitted = permitted_on_error(stored, staleness, failure);
    match failure {
        Failure::Shed(longer) if permitted.is_err() => {
            let window = stored.sie().max(stored.swr()).unwrap_or_default() + longer;
            let is_within = longer > Duration::ZERO && staleness < window;
            if is_within { Ok(Rule::PolicyStaleIfOverloaded) } else { permitted }
        }
        _ => permitted,
    }
}

fn permitted_on_error(
    stored: &Freshness,
    staleness: Duration,
    failure: Failure,
) -> Result<Rule, Rule> {
    if stored.swr().is_some_and(|limit| staleness < limit) {
        return Ok(swr_rule(stored));
    }
    if let Some(limit) = stored.sie() {
        let is_policy = stored.has(Flag::PolicySie);
        let rule = if is_policy { Rule::PolicyStaleIfError } else { Rule::StaleIfError };
        return if staleness < limit { Ok(rule) } else { Err(Rule::StaleTooLong) };
    }
    if stored.has(Flag::SMaxage) {
        return Err(Rule::SMaxage);
    }
    match failure {
        Failure::Unreachable if staleness < DISCONNECTED_STALENESS => Ok(Rule::Disconnected),
        Failure::Unreachable => Err(Rule::StaleTooLong),
        Failure::ServerError | Failure::Shed(_) => Err(Rule::Stale),
    }
}

/// The rule that forbids every stale use, whoever else permits one (RFC 9111 §4.2.4).
fn revalidation_rule(stored: &Freshness) -> Option<Rule> {
    if stored.has(Flag::MustRevalidate) {
        return Some(Rule::MustRevalidate);
    }
    stored.has(Flag::ProxyRevalidate).then_some(Rule::ProxyRevalidate)
}

fn swr_rule(stored: &Freshness) -> Rule {
    let is_policy = stored.has(Flag::PolicySwr);
    if is_policy { Rule::PolicyStaleWhileRevalidate } else { Rule::StaleWhileRevalidate }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}
