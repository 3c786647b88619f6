use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Method};
use std::time::Duration;

use super::RequestView;
use super::freshness::{Flag, Freshness};
use super::reason::Rule;
use super::serve::*;

fn fresh_for(lifetime: u32) -> Freshness {
    Freshness::new(Rule::MaxAge, seconds(lifetime), Duration::ZERO)
}

fn verdict(asked: &'static str, stored: &Freshness, age: u32) -> Verdict {
    let mut fields = HeaderMap::new();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(asked));
    decide(RequestView { method: &Method::GET, fields: &fields }, stored, seconds(age), None)
}

#[test]
fn the_requests_wishes_are_weighed_against_the_age() {
    use Rule as R;
    use Verdict::{Fresh, OnlyIfCached, StaleAccepted, Validate};
    let stored = fresh_for(60);
    let table = [
        ("", 59, Fresh),
        ("", 60, Validate(R::Stale)),
        ("max-age=30", 30, Fresh),
        ("max-age=30", 31, Validate(R::RequestMaxAge)),
        ("max-age=0", 0, Validate(R::RequestMaxAge)),
        ("max-age=x", 1, Validate(R::RequestMaxAge)),
        ("min-fresh=30", 30, Fresh),
        ("min-fresh=30", 31, Validate(R::RequestMinFresh)),
        ("no-cache", 1, Validate(R::RequestNoCache)),
        ("no-store", 1, Fresh),
        ("max-stale", 6000, StaleAccepted),
        ("max-stale=10", 70, StaleAccepted),
        ("max-stale=10", 71, Validate(R::Stale)),
        ("max-stale=x", 61, Validate(R::Stale)),
        ("max-age=1000, max-stale=10", 70, StaleAccepted),
        ("only-if-cached", 1, Fresh),
        ("only-if-cached", 61, OnlyIfCached(R::Stale)),
        ("only-if-cached, max-stale", 61, StaleAccepted),
    ];
    for (asked, age, expected) in table {
        assert_eq!(verdict(asked, &stored, age), expected, "`{asked}` at {age}");
    }
}

#[test]
fn an_immutable_answer_is_validated_for_no_cache_only() {
    let stored = fresh_for(60).with(Flag::Immutable);
    assert_eq!(verdict("max-age=0", &stored, 1), Verdict::Fresh);
    assert_eq!(verdict("no-cache", &stored, 1), Verdict::Validate(Rule::RequestNoCache));
    assert_eq!(verdict("", &stored, 61), Verdict::Validate(Rule::Stale));
}

#[test]
fn stale_is_served_while_revalidating_unless_it_must_not_be() {
    let stored = fresh_for(60).with_swr(Some(seconds(30)));
    let served = Verdict::StaleWhileRevalidate(Rule::StaleWhileRevalidate);
    assert_eq!(verdict("", &stored, 89), served);
    assert_eq!(verdict("", &stored, 90), Verdict::Validate(Rule::Stale));
    assert_eq!(verdict("max-age=500", &stored, 70), Verdict::Validate(Rule::Stale));
    assert_eq!(verdict("", &stored.with(Flag::SMaxage), 89), served, "it is explicit");
    let must = stored.with(Flag::MustRevalidate);
    assert_eq!(verdict("max-stale", &must, 61), Verdict::Validate(Rule::MustRevalidate));
    let proxy = stored.with(Flag::ProxyRevalidate);
    assert_eq!(verdict("", &proxy, 61), Verdict::Validate(Rule::ProxyRevalidate));
    let never = stored.with(Flag::NoCache);
    assert_eq!(verdict("max-stale", &never, 1), Verdict::Validate(Rule::NoCache));
}

#[test]
fn an_outage_is_bridged_by_the_rule_that_permits_it() {
    use Failure::{ServerError, Shed, Unreachable};
    let plain = fresh_for(60);
    let shared = plain.with(Flag::SMaxage);
    let explicit = shared.with_sie(Some(seconds(100)));
    let week = 7 * 86_400;
    let table = [
        (plain, 61, Unreachable, Ok(Rule::Disconnected)),
        (plain, 60 + week, Unreachable, Err(Rule::StaleTooLong)),
        (plain, 61, ServerError, Err(Rule::Stale)),
        (plain, 59, ServerError, Ok(Rule::MaxAge)),
        (shared, 61, Unreachable, Err(Rule::SMaxage)),
        (explicit, 159, Unreachable, Ok(Rule::StaleIfError)),
        (explicit, 159, ServerError, Ok(Rule::StaleIfError)),
        (explicit, 160, Unreachable, Err(Rule::StaleTooLong)),
        (explicit.with(Flag::PolicySie), 61, ServerError, Ok(Rule::PolicyStaleIfError)),
        (explicit.with(Flag::MustRevalidate), 61, Unreachable, Err(Rule::MustRevalidate)),
        (explicit.with(Flag::ProxyRevalidate), 61, Unreachable, Err(Rule::ProxyRevalidate)),
        (explicit.with(Flag::NoCache), 1, Unreachable, Err(Rule::NoCache)),
        (plain.with_sie(Some(seconds(0))), 61, Unreachable, Err(Rule::StaleTooLong)),
        (explicit, 159, Shed(seconds(9)), Ok(Rule::StaleIfError)),
        (explicit, 168, Shed(seconds(9)), Ok(Rule::PolicyStaleIfOverloaded)),
        (explicit, 169, Shed(seconds(9)), Err(Rule::StaleTooLong)),
        (shared, 68, Shed(seconds(9)), Ok(Rule::PolicyStaleIfOverloaded)),
        (shared, 61, Shed(seconds(0)), Err(Rule::SMaxage)),
        (plain, 69, Shed(seconds(9)), Err(Rule::Stale)),
        (plain.with(Flag::MustRevalidate), 61, Shed(seconds(9)), Err(Rule::MustRevalidate)),
        (plain.with(Flag::NoCache), 61, Shed(seconds(9)), Err(Rule::NoCache)),
        (shared.with_swr(Some(seconds(5))), 64, Unreachable, Ok(Rule::StaleWhileRevalidate)),
    ];
    for (stored, age, failure, expected) in table {
        let got = may_serve_stale_on_error(&stored, seconds(age), failure);
        assert_eq!(got, expected, "{stored:?} at {age} after {failure:?}");
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}
