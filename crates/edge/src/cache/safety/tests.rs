//! Two users, an application that answers with whatever it is shown, and a cache made of nothing but the
//! rules. No order of requests may give one user a byte of the other's secret.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::cache::key::{KeySource, primary_key, shown_target};
use crate::cache::rules::store::HOP_BY_HOP;
use crate::cache::rules::{AnswerView, Arrival, Grant, Verdict, decide, may_store, vary};
use crate::config::policy::{Caching, Exceptions};
use crate::exchange::Scheme;

#[derive(Debug, Clone)]
struct Request {
    user: usize,
    carries: u8,
    target: usize,
}

const SECRETS: [&str; 2] = ["alice4f9c", "bob77d21x"];

impl Request {
    fn uri(&self) -> Uri {
        let secret = SECRETS[self.user];
        let targets = ["/".to_owned(), "/?page=1".to_owned(), format!("/?page=1&gclid={secret}")];
        targets[self.target].parse().unwrap()
    }

    fn fields(&self) -> HeaderMap {
        let secret = SECRETS[self.user];
        let mut fields = HeaderMap::new();
        let lines = [
            ("cookie", format!("theme=dark; session={secret}")),
            ("authorization", format!("Bearer {secret}")),
            ("x-user", secret.to_owned()),
            ("accept-language", format!("de;x={secret}")),
            ("if-none-match", format!("\"{secret}\"")),
            ("cookie", "theme=light".to_owned()),
        ];
        for (bit, (name, value)) in lines.into_iter().enumerate() {
            if self.carries & (1 << bit) != 0 {
                fields.append(name, HeaderValue::from_str(&value).unwrap());
            }
        }
        fields.insert("user-agent", HeaderValue::from_static("browser"));
        fields
    }
}

#[derive(Debug, Clone)]
struct App {
    lines: Vec<(&'static str, &'static str)>,
    sets_cookie: bool,
}

impl App {
    /// Everything it sees is in what it says.
    fn answer(&self, uri: &Uri, fields: &HeaderMap) -> (HeaderMap, String) {
        let body = format!("{uri} {fields:?}");
        let mut answer = HeaderMap::new();
        for (name, value) in &self.lines {
            answer.append(*name, HeaderValue::from_static(value));
        }
        let seen: String = body.chars().filter(char::is_ascii_alphanumeric).collect();
        answer.insert("x-seen", HeaderValue::from_str(&seen).unwrap());
        if self.sets_cookie {
            let cookie = HeaderValue::from_str(&format!("session={seen}")).unwrap();
            answer.insert("set-cookie", cookie);
        }
        (answer, body)
    }
}

struct Stored {
    key: Vec<u8>,
    secondary: Vec<u8>,
    grant: Grant,
    fields: HeaderMap,
    body: String,
}

struct Cache<'a> {
    app: &'a App,
    policy: Option<&'a Policy>,
    stored: Vec<Stored>,
    hits: usize,
}

impl Cache<'_> {
    fn serve(&mut self, request: &Request) -> (HeaderMap, String) {
        let (uri, fields) = (request.uri(), request.fields());
        let view = RequestView { method: &Method::GET, fields: &fields };
        if must_pass(view, self.policy).is_err() {
            return self.app.answer(&uri, &fields);
        }
        let source = KeySource {
            scheme: Scheme::Https,
            authority: "a",
            path: uri.path(),
            query: uri.query(),
            fields: &fields,
        };
        let mut key = Vec::new();
        let query = primary_key(source, self.policy, &mut key).map(std::borrow::Cow::into_owned);
        if let Some(hit) = self.find(view, &key) {
            self.hits += 1;
            return hit;
        }
        let forwarded = forwarded_fields(&fields, self.policy);
        if let Some(policy) = self.policy {
            assert_eq!(unkeyed(&forwarded, policy), None);
        }
        let (mut answer, body) = self.app.answer(&shown_target(&uri, query.as_deref()), &forwarded);
        let shown = RequestView { method: &Method::GET, fields: &forwarded };
        let whole = AnswerView { status: StatusCode::OK, fields: &answer };
        if let Ok(grant) = may_store(shown, whole, self.policy, &arrival()) {
            let mut secondary = Vec::new();
            vary::secondary_key(&grant.vary, &fields, self.policy, &mut secondary);
            let mut fields = answer.clone();
            for name in &grant.stripped {
                fields.remove(name);
            }
            self.stored.push(Stored { key, secondary, grant, fields, body: body.clone() });
        }
        for name in HOP_BY_HOP {
            answer.remove(name);
        }
        (answer, body)
    }

    fn find(&self, request: RequestView<'_>, key: &[u8]) -> Option<(HeaderMap, String)> {
        let stored = self.stored.iter().find(|stored| {
            let mut secondary = Vec::new();
            let names = &stored.grant.vary;
            vary::secondary_key(names, request.fields, self.policy, &mut secondary);
            stored.key == key && stored.secondary == secondary
        })?;
        let freshness = &stored.grant.freshness;
        let age = freshness.age(Duration::from_secs(1));
        let verdict = decide(request, freshness, age, self.policy);
        let is_served = matches!(
            verdict,
            Verdict::Fresh | Verdict::StaleWhileRevalidate(_) | Verdict::StaleAccepted
        );
        is_served.then(|| (stored.fields.clone(), stored.body.clone()))
    }
}

fn arrival() -> Arrival {
    let asked = forebay_signals::clock::now();
    Arrival { asked, answered: asked, wall: UNIX_EPOCH + Duration::from_secs(1_767_225_600) }
}

fn requests(carries: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<Request>> {
    let request = (0usize..2, carries, 0usize..3).prop_map(|(user, carries, target)| Request {
        user,
        carries,
        target,
    });
    prop::collection::vec(request, 2..8)
}

fn app(lines: &[(&'static str, &'static str)]) -> impl Strategy<Value = App> + use<> {
    let lines = lines.to_vec();
    let count = lines.len();
    (prop::sample::subsequence(lines, 0..=count), any::<bool>())
        .prop_map(|(lines, sets_cookie)| App { lines, sets_cookie })
}

/// Directives of an application that knows nothing of caches: whatever it may say in error.
const CARELESS: [(&str, &str); 9] = [
    ("cache-control", "max-age=600"),
    ("cache-control", "public"),
    ("cache-control", "s-maxage=600"),
    ("cache-control", "must-revalidate"),
    ("cdn-cache-control", "max-age=600"),
    ("expires", "Fri, 01 Jan 2027 00:00:00 GMT"),
    ("vary", "cookie"),
    ("vary", "accept-language, user-agent"),
    ("cache-control", "no-cache=\"x-seen\""),
];

/// Directives that do not say outright that the answer is for everybody.
const SILENT: [(&str, &str); 5] = [
    ("cache-control", "max-age=600, stale-while-revalidate=60"),
    ("expires", "Fri, 01 Jan 2027 00:00:00 GMT"),
    ("vary", "cookie"),
    ("vary", "accept-language"),
    ("etag", "\"a\""),
];

fn policy() -> impl Strategy<Value = Arc<Policy>> {
    let base = prop::sample::select(vec![Policy::html(), Policy::api(), Policy::assets()]);
    let cookies = prop::sample::subsequence(vec!["theme".to_owned(), "session".to_owned()], 0..=2);
    let fields =
        prop::sample::subsequence(vec![AUTHORIZATION, http::header::ACCEPT_LANGUAGE], 0..=2);
    let inform = prop::sample::subsequence(vec![AUTHORIZATION, COOKIE], 0..=2);
    (base, cookies, fields, inform, any::<[bool; 3]>()).prop_map(
        |(base, cookies, fields, inform, [strips_set_cookie, ignores_authorization, grants])| {
            let mut policy = Arc::unwrap_or_clone(base);
            policy.key.cookies = cookies;
            policy.key.fields.extend(fields);
            policy.key.inform.extend(inform);
            policy.key.drops_marketing = true;
            policy.exceptions = Exceptions { strips_set_cookie, ignores_authorization };
            if grants {
                policy.caching = Caching::GrantedOr(Duration::from_secs(600));
            }
            Arc::new(policy)
        },
    )
}

fn assert_nothing_crosses(
    cache: &mut Cache<'_>,
    requests: &[Request],
) -> Result<(), TestCaseError> {
    for request in requests {
        let (fields, body) = cache.serve(request);
        let other = SECRETS[1 - request.user];
        let got = format!("{fields:?} {body}");
        prop_assert!(!got.contains(other), "{request:?} got the other's: {got}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn under_a_policy_no_answer_of_a_careless_application_leaks(
        requests in requests(0u8..64), app in app(&CARELESS), policy in policy(),
    ) {
        let mut cache = Cache { app: &app, policy: Some(&policy), stored: Vec::new(), hits: 0 };
        assert_nothing_crosses(&mut cache, &requests)?;
    }

    #[test]
    fn without_a_policy_what_is_not_called_public_does_not_leak(
        // Cookies and credentials; other fields are the application's to name in Vary.
        requests in requests((0u8..4).prop_map(|bits| bits | 0b11_0000)), app in app(&SILENT),
    ) {
        let mut cache = Cache { app: &app, policy: None, stored: Vec::new(), hits: 0 };
        assert_nothing_crosses(&mut cache, &requests)?;
    }

    #[test]
    fn requests_of_one_key_are_forwarded_alike(
        one in requests(0u8..64), two in requests(0u8..64), policy in policy(),
    ) {
        for (one, two) in one.iter().zip(&two) {
            let [(key, shown), (other, other_shown)] = [one, two].map(|request| {
                let (uri, fields) = (request.uri(), request.fields());
                let source =
                    KeySource { scheme: Scheme::Https, authority: "a", path: uri.path(), query: uri.query(), fields: &fields };
                let mut key = Vec::new();
                let query = primary_key(source, Some(&policy), &mut key);
                let target = shown_target(&uri, query.as_deref());
                (key, (target, forwarded_fields(&fields, Some(&policy))))
            });
            if key == other {
                prop_assert_eq!(shown, other_shown);
            }
        }
    }
}

/// The properties above would hold for a cache that never hits.
#[test]
fn what_is_shared_is_hit_by_both() {
    let app = App { lines: vec![("cache-control", "max-age=600")], sets_cookie: false };
    let policy = Policy::html();
    let mut cache = Cache { app: &app, policy: Some(&policy), stored: Vec::new(), hits: 0 };
    for user in [0, 1] {
        for target in [1, 2] {
            cache.serve(&Request { user, carries: 0b1101, target });
        }
    }
    assert_eq!(cache.hits, 3, "the session cookie, x-user and gclid make no difference");
}

#[test]
fn credentials_pass_by_unless_the_key_holds_them() {
    let fields = Request { user: 0, carries: 2, target: 0 }.fields();
    let request = RequestView { method: &Method::GET, fields: &fields };
    let mut policy = Arc::unwrap_or_clone(Policy::html());
    assert_eq!(must_pass(request, Some(&policy)), Err(Refusal::Authorization));
    assert_eq!(must_pass(request, None), Ok(()));
    policy.exceptions.ignores_authorization = true;
    assert_eq!(must_pass(request, Some(&policy)), Ok(()));
    assert!(!forwarded_fields(&fields, Some(&policy)).contains_key(AUTHORIZATION));
    policy.caching = Caching::Off;
    assert_eq!(must_pass(request, Some(&policy)), Err(Refusal::PolicyOff));
    assert!(forwarded_fields(&fields, Some(&policy)).contains_key(AUTHORIZATION));
}

#[test]
fn the_shadow_check_finds_what_is_not_keyed() {
    let policy = Policy::html();
    let fields = Request { user: 0, carries: 1, target: 0 }.fields();
    assert_eq!(unkeyed(&fields, &policy), Some(COOKIE));
    let fields = Request { user: 0, carries: 4, target: 0 }.fields();
    assert_eq!(unkeyed(&fields, &policy).as_ref().map(HeaderName::as_str), Some("x-user"));
}
