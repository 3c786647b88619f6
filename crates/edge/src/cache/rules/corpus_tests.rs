//! Answers and what a shared cache may do with them: one line each, the RFC behind it.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::freshness::Flag;
use super::*;
use crate::config::policy::{Caching, Policy};

/// 2026-01-01, when every answer here arrives.
const NOW: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

fn arrival() -> Arrival {
    let asked = forebay_signals::clock::now();
    Arrival { asked, answered: asked, wall: UNIX_EPOCH + Duration::from_secs(1_767_225_600) }
}

/// `name: value | name: value`.
fn fields(text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in text.split('|').filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').expect("a colon");
        let name = HeaderName::from_bytes(name.trim().as_bytes()).unwrap();
        fields.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    fields
}

fn ask(
    request: &str,
    status: u16,
    answer: &str,
    policy: Option<&Policy>,
) -> Result<Grant, Refusal> {
    let (request, answer) = (fields(request), fields(answer));
    may_store(
        RequestView { method: &Method::GET, fields: &request },
        AnswerView { status: StatusCode::from_u16(status).unwrap(), fields: &answer },
        policy,
        &arrival(),
    )
}

type Expected = Result<(Rule, u64), Refusal>;

fn check(request: &str, status: u16, answer: &str, policy: Option<&Policy>, expected: Expected) {
    let got = ask(request, status, answer, policy)
        .map(|grant| (grant.freshness.rule(), grant.freshness.lifetime().as_secs()));
    assert_eq!(got, expected, "{status} `{answer}` to `{request}`");
}

#[test]
fn lifetimes_without_a_policy() {
    use Rule::{CdnCacheControl, Expires, MaxAge, NoCache, SMaxage, SurrogateControl};
    let none = Err(Refusal::NoFreshness);
    let useless = Err(Refusal::NothingToReuse);
    let table: [(&str, Expected); 45] = [
        ("", none),
        ("etag: \"a\"", none),
        ("last-modified: Thu, 01 Jan 2015 00:00:00 GMT", none),
        ("cache-control: public", none),
        ("cache-control: immutable", none),
        ("cache-control: must-revalidate | etag: \"a\"", none),
        ("cache-control: max-age=60", Ok((MaxAge, 60))),
        ("cache-control: max-age=60, s-maxage=5", Ok((SMaxage, 5))),
        ("cache-control: s-maxage=90 | cache-control: max-age=1", Ok((SMaxage, 90))),
        ("cache-control: max-age=60 | expires: 0", Ok((MaxAge, 60))),
        ("cache-control: max-age=99999999999", Ok((MaxAge, 1 << 31))),
        ("cache-control: max-age=0", useless),
        ("cache-control: max-age=x", useless),
        ("cache-control: max-age=-1 | expires: Fri, 02 Jan 2026 00:00:00 GMT", useless),
        ("cache-control: max-age=0 | etag: \"a\"", Ok((MaxAge, 0))),
        ("cache-control: max-age=0, stale-if-error=9", Ok((MaxAge, 0))),
        ("cache-control: max-age=0, stale-while-revalidate=9", Ok((MaxAge, 0))),
        ("cache-control: max-age=0, stale-if-error=9, must-revalidate", useless),
        ("cache-control: no-cache", useless),
        ("cache-control: no-cache, max-age=60", useless),
        ("cache-control: no-cache | last-modified: x", Ok((NoCache, 0))),
        ("cache-control: no-cache, max-age=60 | etag: W/\"a\"", Ok((MaxAge, 60))),
        ("cache-control: no-cache=\"x-a\"", none),
        ("cache-control: no-cache=\"x-a\", max-age=60", Ok((MaxAge, 60))),
        ("cache-control: max-age=60 | age: 59", Ok((MaxAge, 60))),
        ("cache-control: max-age=60 | age: 60", useless),
        ("cache-control: max-age=60 | age: 60 | etag: \"a\"", Ok((MaxAge, 60))),
        ("cache-control: max-age=60 | age: 1.5", useless),
        ("cache-control: max-age=60 | age: 0 | age: 7200", useless),
        ("cache-control: max-age=60 | date: Wed, 31 Dec 2025 23:00:00 GMT", useless),
        ("expires: Thu, 01 Jan 2026 01:00:00 GMT", Ok((Expires, 3600))),
        (
            "expires: Thu, 01 Jan 2026 01:00:00 GMT | date: Wed, 31 Dec 2025 23:59:00 GMT",
            Ok((Expires, 3660)),
        ),
        ("expires: Thursday, 01-Jan-26 01:00:00 GMT", Ok((Expires, 3600))),
        ("expires: Thu Jan  1 01:00:00 2026", Ok((Expires, 3600))),
        ("expires: Thu, 01 Jan 2026 01:00:00 UTC", useless),
        ("expires: 0 | etag: \"a\"", Ok((Expires, 0))),
        (
            "expires: Thu, 01 Jan 2026 01:00:00 GMT | expires: Thu, 01 Jan 2026 02:00:00 GMT",
            useless,
        ),
        ("cdn-cache-control: max-age=60 | cache-control: no-store", Ok((CdnCacheControl, 60))),
        ("cdn-cache-control: max-age=60 | cache-control: private", Ok((CdnCacheControl, 60))),
        ("cdn-cache-control: foo | cache-control: max-age=60", none),
        ("cdn-cache-control: max-age=\"60\" | cache-control: max-age=1", Ok((MaxAge, 1))),
        (
            "cdn-cache-control: max-age=0 | expires: Fri, 02 Jan 2026 00:00:00 GMT | etag: \"a\"",
            Ok((CdnCacheControl, 0)),
        ),
        ("cdn-cache-control: max-age=3600 | age: 7200", useless),
        ("surrogate-control: max-age=60+9 | cache-control: max-age=1", Ok((SurrogateControl, 60))),
        ("surrogate-control: max-age=6 | cdn-cache-control: max-age=60", Ok((CdnCacheControl, 60))),
    ];
    for (answer, expected) in table {
        check("", 200, answer, None, expected);
    }
}

#[test]
fn what_is_never_stored() {
    use Refusal as R;
    let cookie = "cookie: a=1";
    let secret = "authorization: Basic x";
    let table = [
        ("", 200, "cache-control: max-age=60, no-store", R::NoStore),
        ("", 200, "cache-control: max-age=60, No-StOrE", R::NoStore),
        ("", 200, "cache-control: max-age=60, private", R::Private),
        ("", 200, "cdn-cache-control: no-store | cache-control: max-age=60", R::NoStore),
        ("", 200, "cdn-cache-control: private | cache-control: max-age=60", R::Private),
        ("", 200, "surrogate-control: no-store | cache-control: max-age=60", R::NoStore),
        ("", 200, "cache-control: public, max-age=60 | set-cookie: a=1", R::SetCookie),
        ("", 200, "cdn-cache-control: max-age=60 | set-cookie: a=1", R::SetCookie),
        ("", 200, "cache-control: max-age=60 | vary: *", R::VaryStar),
        ("", 200, "cache-control: max-age=60 | vary: accept, *", R::VaryStar),
        ("", 200, "cache-control: max-age=60 | vary: accept | vary: *", R::VaryStar),
        ("", 200, "cache-control: max-age=60 | vary: Cookie", R::VarySecret),
        ("", 200, "cache-control: public, max-age=60 | vary: accept, authorization", R::VarySecret),
        ("", 200, "cache-control: max-age=60 | vary: a b", R::VaryUnusable),
        ("", 206, "cache-control: max-age=60 | content-range: bytes 0-1/9", R::Status),
        ("", 304, "cache-control: max-age=60", R::Status),
        ("", 103, "cache-control: max-age=60", R::Status),
        ("", 599, "cache-control: max-age=60, must-understand", R::NotUnderstood),
        ("cache-control: no-store", 200, "cache-control: max-age=60", R::RequestNoStore),
        (cookie, 200, "cache-control: max-age=60", R::Cookie),
        (cookie, 200, "expires: Fri, 02 Jan 2026 00:00:00 GMT", R::Cookie),
        (cookie, 200, "cache-control: no-cache | etag: \"a\"", R::Cookie),
        (secret, 200, "cache-control: max-age=60", R::Authorization),
        (secret, 200, "cache-control: max-age=60, proxy-revalidate", R::Authorization),
        (secret, 200, "cdn-cache-control: max-age=60 | cache-control: public", R::Authorization),
    ];
    for (request, status, answer, refusal) in table {
        check(request, status, answer, None, Err(refusal));
    }
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let answer = fields("cache-control: max-age=60");
        let request = RequestView { method: &method, fields: &HeaderMap::new() };
        let answer = AnswerView { status: StatusCode::OK, fields: &answer };
        assert_eq!(may_store(request, answer, None, &arrival()), Err(Refusal::Method));
    }
}

#[test]
fn what_is_stored_with_permission() {
    use Rule::{CdnCacheControl, MaxAge, SMaxage, SurrogateControl};
    let cookie = "cookie: a=1";
    let secret = "authorization: Basic x";
    let table = [
        (cookie, 200, "cache-control: max-age=60, public", (MaxAge, 60)),
        (cookie, 200, "cache-control: s-maxage=60", (SMaxage, 60)),
        (cookie, 200, "cdn-cache-control: max-age=60", (CdnCacheControl, 60)),
        (cookie, 200, "surrogate-control: max-age=60", (SurrogateControl, 60)),
        (secret, 200, "cache-control: max-age=60, public", (MaxAge, 60)),
        (secret, 200, "cache-control: max-age=60, must-revalidate", (MaxAge, 60)),
        (secret, 200, "cache-control: s-maxage=60", (SMaxage, 60)),
        (secret, 200, "cdn-cache-control: max-age=60, public", (CdnCacheControl, 60)),
        ("", 200, "cache-control: max-age=60, private=\"x-a\"", (MaxAge, 60)),
        ("", 200, "cache-control: max-age=60, no-store, must-understand", (MaxAge, 60)),
        ("", 200, "cache-control: max-age=60 | vary: accept-encoding, origin", (MaxAge, 60)),
        ("", 599, "cache-control: max-age=60", (MaxAge, 60)),
        ("", 299, "cache-control: max-age=60", (MaxAge, 60)),
        ("", 302, "cache-control: max-age=60", (MaxAge, 60)),
        ("", 404, "cache-control: max-age=60", (MaxAge, 60)),
        ("", 500, "cache-control: max-age=60", (MaxAge, 60)),
    ];
    for (request, status, answer, expected) in table {
        check(request, status, answer, None, Ok(expected));
    }
}

#[test]
fn a_policy_grants_where_the_answer_says_nothing() {
    let mut policy = Arc::unwrap_or_clone(Policy::assets());
    policy.caching = Caching::GrantedOr(Duration::from_secs(600));
    let ttl = Ok((Rule::PolicyTtl, 600));
    let error = Ok((Rule::PolicyErrorTtl, 1));
    let none = Err(Refusal::NoFreshness);
    let table: [(&str, u16, &str, Expected); 14] = [
        ("", 200, "", ttl),
        ("cookie: a=1", 200, "", ttl),
        ("", 301, "cache-control: public", ttl),
        ("", 302, "", none),
        ("", 200, "cache-control: max-age=5", Ok((Rule::MaxAge, 5))),
        ("", 200, "expires: 0 | etag: \"a\"", Ok((Rule::Expires, 0))),
        ("", 200, "cache-control: no-cache | etag: \"a\"", Ok((Rule::NoCache, 0))),
        ("", 200, "cache-control: private", Err(Refusal::Private)),
        ("", 200, "set-cookie: a=1", Err(Refusal::SetCookie)),
        ("authorization: x", 200, "cache-control: public", Err(Refusal::Authorization)),
        ("", 404, "", error),
        ("", 503, "", error),
        ("", 403, "", none),
        ("", 404, "cache-control: max-age=5", Ok((Rule::MaxAge, 5))),
    ];
    for (request, status, answer, expected) in table {
        check(request, status, answer, Some(&policy), expected);
    }
    policy.exceptions.strips_set_cookie = true;
    policy.exceptions.ignores_authorization = true;
    let grant = ask("authorization: x", 200, "set-cookie: a=1", Some(&policy)).unwrap();
    assert_eq!(grant.stripped, [http::header::SET_COOKIE]);
    policy.caching = Caching::Off;
    check("", 200, "cache-control: max-age=5", Some(&policy), Err(Refusal::PolicyOff));
}

#[test]
fn a_guess_is_made_only_where_the_policy_allows_one() {
    let mut policy = Arc::unwrap_or_clone(Policy::html());
    let hour_ago = "last-modified: Wed, 31 Dec 2025 23:00:00 GMT";
    check("", 200, hour_ago, Some(&policy), Err(Refusal::NoFreshness));
    policy.is_heuristic = true;
    check("", 200, hour_ago, Some(&policy), Ok((Rule::Heuristic, 360)));
    let old = "last-modified: Wed, 31 Dec 2003 23:00:00 GMT";
    check("", 200, old, Some(&policy), Ok((Rule::Heuristic, 86_400)));
    check("", 200, "last-modified: never", Some(&policy), Err(Refusal::NoFreshness));
    let ahead = "last-modified: Fri, 02 Jan 2026 00:00:00 GMT";
    check("", 200, ahead, Some(&policy), Err(Refusal::NoFreshness));
    check("", 302, hour_ago, Some(&policy), Err(Refusal::NoFreshness));
    check("", 200, &format!("{old} | expires: 0"), Some(&policy), Ok((Rule::Expires, 0)));
}

#[test]
fn vary_on_cookie_is_stored_where_the_key_holds_cookies() {
    let mut policy = Arc::unwrap_or_clone(Policy::html());
    let answer = "cache-control: max-age=60 | vary: cookie";
    check("", 200, answer, Some(&policy), Err(Refusal::VarySecret));
    policy.key.cookies = vec!["theme".to_owned()];
    check("", 200, answer, Some(&policy), Ok((Rule::MaxAge, 60)));
}

#[test]
fn permissions_of_the_answer_go_before_the_policys() {
    let policy = Policy::html();
    let read = |answer: &str, status| ask("", status, answer, Some(&policy)).unwrap().freshness;
    let seconds = |number| Some(Duration::from_secs(number));
    let silent = read("cache-control: s-maxage=60", 200);
    assert_eq!((silent.swr(), silent.sie()), (seconds(30), seconds(86_400)));
    assert!(
        silent.has(Flag::PolicySwr) && silent.has(Flag::PolicySie) && silent.has(Flag::SMaxage)
    );
    let own = read(
        "cache-control: max-age=60, stale-while-revalidate=5, stale-if-error=0, immutable",
        200,
    );
    assert_eq!((own.swr(), own.sie()), (seconds(5), seconds(0)));
    assert!(!own.has(Flag::PolicySwr) && !own.has(Flag::PolicySie) && own.has(Flag::Immutable));
    let error = read("", 503);
    assert_eq!((error.swr(), error.sie()), (None, seconds(0)), "patience is for good answers");
    let surrogate = read("surrogate-control: max-age=60+9", 200);
    assert_eq!(surrogate.swr(), seconds(9));
}

#[test]
fn fields_that_must_not_be_stored_are_named() {
    let answer = "cache-control: max-age=60, no-cache=\"x-a, x-none\", private=\"x-b\" \
                  | x-a: 1 | x-b: 2 | x-c: 3 | connection: x-d, close | x-d: 4 | keep-alive: x \
                  | proxy-authenticate: Basic | x-e: 5";
    let grant = ask("", 200, answer, None).unwrap();
    let names: Vec<_> = grant.stripped.iter().map(HeaderName::as_str).collect();
    assert_eq!(names, ["connection", "keep-alive", "proxy-authenticate", "x-a", "x-b", "x-d"]);
}

#[test]
fn a_stored_answer_arrives_with_its_age() {
    let answer = format!("cache-control: max-age=60 | age: 20 | date: {NOW}");
    let freshness = ask("", 200, &answer, None).unwrap().freshness;
    assert_eq!(freshness.initial_age(), Duration::from_secs(20));
    assert_eq!(freshness.ttl(freshness.age(Duration::from_secs(10))), 30);
    assert!(freshness.is_fresh(freshness.age(Duration::from_secs(39))));
    assert!(!freshness.is_fresh(freshness.age(Duration::from_secs(40))));
}
