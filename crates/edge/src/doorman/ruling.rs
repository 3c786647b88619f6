//! What an application said of a request, and for how long that may be used again.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use forebay_signals::clock;
use http::header::{AGE, CACHE_CONTROL, EXPIRES, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use crate::cache::rules::Arrival;
use crate::cache::rules::age::initial_age;
use crate::cache::rules::directives::Scope;
use crate::cache::rules::targeted::{CDN_CACHE_CONTROL, Effective, SURROGATE_CONTROL};
use crate::cache::tags;
use crate::config::forward_auth::ForwardAuth;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body};

/// Longest content of a refusal: a page that says why, or a form to sign in.
const MOST_CONTENT_BYTES: usize = 256 * 1024;

/// What was said.
#[derive(Debug)]
pub struct Ruling {
    said: Said,
    until: Option<Instant>,
}

#[derive(Debug)]
enum Said {
    /// The request may come in.
    LetIn {
        /// What it takes along.
        fields: Vec<(HeaderName, HeaderValue)>,
        /// What its client is told beside its answer: a session that was renewed.
        cookies: Vec<HeaderValue>,
    },
    /// The client gets this.
    TurnedAway { status: StatusCode, fields: HeaderMap, content: Bytes },
}

impl Ruling {
    /// A request of nobody is let in: the application that could say more has failed.
    pub(super) fn nobody() -> Ruling {
        let said = Said::LetIn { fields: Vec::new(), cookies: Vec::new() };
        Ruling { said, until: None }
    }

    /// Reads an answer. What is neither a welcome nor a refusal is a failure: a path that is not there must not
    /// look like a shop that is empty.
    pub(super) async fn read(
        settings: &ForwardAuth,
        has_credentials: bool,
        asked: Instant,
        mut answer: Answer,
    ) -> Result<Ruling, Error> {
        let status = answer.status;
        let fields = std::mem::take(answer.fields_mut());
        let lifetime = lifetime(&fields, has_credentials, asked);
        let body = answer.body;
        let said = if status.is_success() {
            // What it holds besides is for nobody; read, so that its connection can be used again.
            drop(content(body).await);
            let take = |name: &HeaderName| {
                let values = fields.get_all(name).iter().filter_map(own);
                values.map(|value| (name.clone(), value)).collect::<Vec<_>>()
            };
            Said::LetIn {
                fields: settings.take.iter().flat_map(take).collect(),
                cookies: fields.get_all(SET_COOKIE).iter().filter_map(own).collect(),
            }
        } else if is_refusal(status) {
            let fields = of_refusal(&fields, lifetime.is_some());
            Said::TurnedAway { status, fields, content: content(body).await? }
        } else {
            let detail = "forward_auth answered with neither a welcome nor a refusal";
            return Err(Error::new(ErrorKind::OriginProtocol, detail).because(status.to_string()));
        };
        let most = settings.max_ttl.unwrap_or_default();
        let ttl = lifetime.map(|lifetime| lifetime.min(most)).filter(|ttl| !ttl.is_zero());
        Ok(Ruling { said, until: ttl.map(|ttl| clock::now() + ttl) })
    }

    /// Until when it may be used for others of whom the same is told.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// True if those who wait with the same question may have it: what may not be remembered is for whoever asked.
    pub(super) fn is_shared(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn lets_in(&self) -> bool {
        matches!(self.said, Said::LetIn { .. })
    }

    /// The answer for a client that was turned away.
    pub(super) fn answer(&self) -> Option<Answer> {
        let Said::TurnedAway { status, fields, content } = &self.said else { return None };
        let mut answer = Answer::new(content.clone()).with_status(*status);
        answer.fields = fields.clone();
        Some(answer)
    }

    /// Gives a request what it takes along.
    pub(super) fn give(&self, to: &mut HeaderMap) {
        let Said::LetIn { fields, .. } = &self.said else { return };
        for (name, value) in fields {
            to.append(name.clone(), value.clone());
        }
    }

    /// Tells the client what it is to be told beside its answer.
    pub fn tell(&self, answer: &mut Answer) {
        let Said::LetIn { cookies, .. } = &self.said else { return };
        for cookie in cookies {
            answer.own.push(SET_COOKIE.as_str(), |out| out.extend_from_slice(cookie.as_bytes()));
        }
    }

    /// Memory that it takes.
    pub(super) fn weight(&self) -> usize {
        let each = size_of::<(HeaderName, HeaderValue)>();
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| each + name.as_str().len() + value.len();
        match &self.said {
            Said::LetIn { fields, .. } => fields.iter().map(|(n, v)| line((n, v))).sum(),
            Said::TurnedAway { fields, content, .. } => {
                fields.iter().map(line).sum::<usize>() + content.len()
            }
        }
    }
}

/// A copy: what comes from a head that was read would keep all of that head in memory.
fn own(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// What a client that is turned away gets of the answer's fields. What is meant for caches is for the edge, which
/// may use the refusal again; under the page's own address nobody else may: it is of who asks.
fn of_refusal(fields: &HeaderMap, is_used_again: bool) -> HeaderMap {
    let each = fields.iter().filter_map(|(name, value)| Some((name.clone(), own(value)?)));
    let mut fields = HeaderMap::new();
    for (name, value) in each {
        fields.append(name, value);
    }
    fields.remove(SURROGATE_CONTROL);
    tags::hide(&mut fields);
    if is_used_again {
        for name in [AGE, EXPIRES, CDN_CACHE_CONTROL] {
            fields.remove(name);
        }
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    fields
}

/// A redirect, or a refusal that speaks of the request. 404 and 405 speak of the path that was asked for.
fn is_refusal(status: StatusCode) -> bool {
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_MODIFIED => false,
        status => status.is_redirection() || status.is_client_error(),
    }
}

/// How long an answer may be used for others of whom the same is told: only what says so itself, and nothing
/// that sets a cookie. `private` is kept from all but those who show the same credentials.
fn lifetime(fields: &HeaderMap, has_credentials: bool, asked: Instant) -> Option<Duration> {
    let held = Effective::of(fields).directives;
    let is_private = held.private != Scope::Absent && !has_credentials;
    let varies = fields.get_all(VARY).iter().any(|line| line.as_bytes().contains(&b'*'));
    if held.no_store
        || held.no_cache != Scope::Absent
        || is_private
        || varies
        || fields.contains_key(SET_COOKIE)
    {
        return None;
    }
    let seconds = held.s_maxage.or(held.max_age)?;
    let arrival = Arrival { asked, answered: clock::now(), wall: clock::wall() };
    let age = initial_age(fields, &arrival);
    Some(Duration::from_secs(seconds.into()).saturating_sub(age))
}

async fn content(mut body: Body) -> Result<Bytes, Error> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if all.len() + data.len() > MOST_CONTENT_BYTES {
            let detail = "forward_auth answered with more content than a refusal may have";
            return Err(Error::new(ErrorKind::OriginProtocol, detail));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

#[cfg(test)]
mod tests {
    use http::header::{AGE, CACHE_CONTROL};

    use super::*;

    fn of(lines: &[(HeaderName, &'static str)], has_credentials: bool) -> Option<u64> {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(name, HeaderValue::from_static(value));
        }
        lifetime(&fields, has_credentials, clock::now()).map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn a_refusal_is_told_without_what_is_meant_for_caches() {
        let lines = [
            ("location", "/sign-in"),
            ("surrogate-key", "one"),
            ("surrogate-control", "max-age=9"),
            ("cache-control", "max-age=60"),
            ("age", "3"),
        ];
        let lines = lines
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let fields = HeaderMap::from_iter(lines);
        let once = of_refusal(&fields, false);
        let mut names: Vec<_> = once.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["age", "cache-control", "location"]);
        assert_eq!(once["cache-control"], "max-age=60");
        let again = of_refusal(&fields, true);
        assert_eq!(again.len(), 2);
        assert_eq!(
            (&again["location"], &again["cache-control"]),
            (&fields["location"], &HeaderValue::from_static("no-store"))
        );
    }

    #[test]
    fn an_answer_is_used_again_only_as_long_as_it_says_itself() {
        let control = |value| (CACHE_CONTROL, value);
        for (lines, had) in [
            (vec![], None),
            (vec![control("max-age=30")], Some(29)),
            (vec![control("max-age=5, s-maxage=30")], Some(29)),
            (vec![control("max-age=30"), (AGE, "20")], Some(9)),
            (vec![control("max-age=30"), (AGE, "40")], Some(0)),
            (vec![control("max-age=30, no-store")], None),
            (vec![control("max-age=30, no-cache")], None),
            (vec![control("max-age=30"), (SET_COOKIE, "a=1")], None),
            (vec![control("max-age=30"), (VARY, "*")], None),
            (vec![control("public")], None),
        ] {
            // A little of the time has gone.
            let got = of(&lines, true);
            let is_right = got == had || got == had.map(|had| had + 1) && had != Some(0);
            assert!(is_right, "{lines:?}: {got:?}");
        }
        assert!(of(&[control("private, max-age=30")], true).is_some());
        assert_eq!(of(&[control("private, max-age=30")], false), None, "whose would it be?");
    }

    #[test]
    fn what_speaks_of_the_path_is_no_refusal() {
        let is = |status| is_refusal(StatusCode::from_u16(status).expect("a status"));
        assert!([301, 302, 303, 307, 400, 401, 403, 407, 429].into_iter().all(is));
        assert!(![304, 404, 405, 500, 502, 503].into_iter().any(is));
    }
}
