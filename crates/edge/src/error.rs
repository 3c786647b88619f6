//! What can go wrong in the edge: what, whose side, may it be retried, and from what.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

/// The source of an error, kept for the log; the outside never sees it.
pub type Source = Box<dyn StdError + Send + Sync>;

/// On whose side the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client sent something we refuse, or went away.
    Client,
    /// The edge itself.
    Edge,
    /// The application behind us.
    Origin,
}

/// What went wrong. One `match` in [`ErrorKind::facts`] gives status, label and sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request's head or framing is malformed or ambiguous.
    BadMessage,
    /// An HTTP version other than 1.0, 1.1 and 2.
    VersionNotSupported,
    /// A transfer coding or method we do not implement.
    NotImplemented,
    /// Head larger than allowed.
    HeadTooLarge,
    /// Target longer than allowed.
    UriTooLong,
    /// Content larger than allowed.
    ContentTooLarge,
    /// The client did not send in time.
    ClientTimeout,
    /// The client went away.
    ClientGone,
    /// The authority does not belong to this connection.
    Misdirected,
    /// Expectation other than 100-continue.
    ExpectationFailed,
    /// A `PURGE` of somebody who may not.
    PurgeRefused,
    /// No route for the request.
    NoRoute,
    /// A client's `only-if-cached` that nothing answers.
    NotCached,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// The application that says who may come in does not answer.
    Unverified,
    /// More requests of a client than a rate allows.
    RateLimited,
    /// Too many requests in flight, or the origin is saturated.
    Saturated,
    /// The origin takes fewer requests than come, and this one was given up.
    Shed,
    /// The application is worked on.
    Maintenance,
    /// The breaker of the origin is open, or no origin is healthy.
    OriginUnavailable,
    /// No connection to the origin could be made.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// The origin's answer breaks the protocol or broke off.
    OriginProtocol,
    /// A fault of ours. The last of the list: [`ErrorKind::ALL`] counts up to it.
    Internal,
}

/// Everything that follows from a kind.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Status towards the client.
    pub status: StatusCode,
    /// Value of `Forebay-Error` and of the metric label.
    pub label: &'static str,
    /// Whose fault.
    pub side: Side,
    /// A sentence for the outside.
    pub sentence: &'static str,
}

impl ErrorKind {
    /// All of them, for the reference.
    pub const ALL: [ErrorKind; ErrorKind::Internal as usize + 1] = [
        ErrorKind::BadMessage,
        ErrorKind::VersionNotSupported,
        ErrorKind::NotImplemented,
        ErrorKind::HeadTooLarge,
        ErrorKind::UriTooLong,
        ErrorKind::ContentTooLarge,
        ErrorKind::ClientTimeout,
        ErrorKind::ClientGone,
        ErrorKind::Misdirected,
        ErrorKind::ExpectationFailed,
        ErrorKind::PurgeRefused,
        ErrorKind::NoRoute,
        ErrorKind::NotCached,
        ErrorKind::Unauthorized,
        ErrorKind::Unverified,
        ErrorKind::RateLimited,
        ErrorKind::Saturated,
        ErrorKind::Shed,
        ErrorKind::Maintenance,
        ErrorKind::OriginUnavailable,
        ErrorKind::OriginUnreachable,
        ErrorKind::OriginTimeout,
        ErrorKind::OriginProtocol,
        ErrorKind::Internal,
    ];

    /// The one place where a kind becomes status, label, side and sentence.
    pub fn facts(self) -> Facts {
        use ErrorKind as K;
        use Side::{Client, Edge, Origin};
        let (status, label, side, sentence) = match self {
            K::BadMessage => (400, "bad-message", Client, "the request is malformed"),
            K::VersionNotSupported => {
                (505, "version-not-supported", Client, "the HTTP version is not supported")
            }
            K::NotImplemented => {
                (501, "not-implemented", Client, "the request uses a coding that is not supported")
            }
            K::HeadTooLarge => (431, "head-too-large", Client, "the request head is too large"),
            K::UriTooLong => (414, "uri-too-long", Client, "the request target is too long"),
            K::ContentTooLarge => {
                (413, "content-too-large", Client, "the request content is too large")
            }
            K::ClientTimeout => {
                (408, "client-timeout", Client, "the request did not arrive in time")
            }
            K::ClientGone => (400, "client-gone", Client, "the client went away"),
            K::Misdirected => {
                (421, "misdirected", Client, "this connection does not serve that host")
            }
            K::ExpectationFailed => {
                (417, "expectation-failed", Client, "the expectation is not supported")
            }
            K::PurgeRefused => (403, "purge-refused", Client, "not allowed to purge"),
            K::NoRoute => (404, "no-route", Client, "nothing is served at this address"),
            K::NotCached => {
                (504, "not-cached", Client, "no stored answer, and the request allows no other")
            }
            K::Unauthorized => (401, "unauthorized", Client, "a name and a password are needed"),
            K::Unverified => {
                (503, "unverified", Origin, "cannot check at the moment who may come in")
            }
            K::RateLimited => (429, "rate-limited", Client, "too many requests, wait a moment"),
            K::Saturated => (503, "saturated", Edge, "too busy at the moment"),
            K::Shed => (503, "shed", Origin, "the application is overloaded"),
            K::Maintenance => (503, "maintenance", Edge, "closed for maintenance"),
            K::OriginUnavailable => {
                (503, "origin-unavailable", Origin, "the application is not available")
            }
            K::OriginUnreachable => {
                (502, "origin-unreachable", Origin, "the application cannot be reached")
            }
            K::OriginTimeout => {
                (504, "origin-timeout", Origin, "the application did not answer in time")
            }
            K::OriginProtocol => {
                (502, "origin-protocol", Origin, "the application's answer is not usable")
            }
            K::Internal => (500, "internal", Edge, "an error inside the edge"),
        };
        let status = StatusCode::from_u16(status).expect("the table holds valid statuses");
        Facts { status, label, side, sentence }
    }
}

impl ErrorKind {
    /// For those who run the edge: what is behind it, and what to do. Markdown, for the reference.
    #[rustfmt::skip]
    pub fn remedy(self) -> &'static str {
        use ErrorKind as K;
        match self {
            K::BadMessage => "The request can be read in two ways, or breaks HTTP; its connection ends. Mend the client, or what stands before the edge. Content on a `GET` is refused where a policy stores: give that path a route with the policy `pass`.",
            K::VersionNotSupported => "The client speaks neither HTTP/1.0, HTTP/1.1 nor HTTP/2.",
            K::NotImplemented => "A transfer coding besides `chunked`, or `CONNECT`. A browser sends neither.",
            K::HeadTooLarge => "Mostly too many or too large cookies. Mend the application that sets them, or raise `admit.max_head` or `admit.max_fields`.",
            K::UriTooLong => "Raise `admit.max_uri`, or send what is so long as content.",
            K::ContentTooLarge => "An upload above `admit.max_content`, or above the route's own `route.max_content`.",
            K::ClientTimeout => "The head did not come within `listen.head_timeout`, or content more slowly than `listen.min_content_rate`.",
            K::ClientGone => "The client closed its connection while it sent. Nothing to do; in a log only.",
            K::Misdirected => "The host of the request is not in the certificate of its connection. Add the name to the certificate, or one that has it to `listen.certificates`.",
            K::ExpectationFailed => "An `Expect` besides `100-continue`.",
            K::PurgeRefused => "A `PURGE` from an address that is not in `purge.allow`, and without the token of `purge.token_file`. A browser is never allowed by its address alone.",
            K::NoRoute => "No `[[route]]` matches scheme, host, path, method, fields and cookies. `forebay cache why URL` says which route does.",
            K::NotCached => "The client sent `Cache-Control: only-if-cached`, and nothing usable is stored. That is what it asked for.",
            K::Unauthorized => "The route has `basic_auth`, and the request came without credentials or with wrong ones. Add users with `htpasswd -B` and reload.",
            K::Unverified => "The application of the route's `[forward_auth.NAME]` did not answer within its `timeout`, or with neither 2xx nor a refusal: 404, 405 and 5xx are failures of it. Nobody is let in unasked, unless `forward_auth.on_failure` says so. `forebay status` and the journal say what failed and since when.",
            K::RateLimited => "The client asked more often than a `[rate.NAME]` of its route allows; `Retry-After` says when it may again, `RateLimit` by which rate. If it is an honest one, raise `rate.burst` or count by another `rate.key`; `rate.enforce = false` only counts.",
            K::Saturated => "More requests are inside than `admit.max_in_flight`, or more wait for the origin than `origin.max_in_flight`. The application is too slow or too small for what comes; hits go on. `forebay status` shows who waits.",
            K::Shed => "The origin refuses as overloaded more than half of what it is sent (`origin.throttle_factor`); it is sent less until it takes more again. Hits and what may be served stale go on. `forebay status` and the journal say what is shed and since when. Give the application more capacity, or cache more.",
            K::Maintenance => "The route, or all of them, is in maintenance: by `forebay maintenance on` or by `on` in `[maintenance]` or `maintenance` of the route. `forebay status` says what is. Who must get in belongs into `maintenance.allow`.",
            K::OriginUnavailable => "Every server of the origin is sick, or its breaker is open after `origin.breaker_failures` failures in a row. `forebay status` shows the last error of each.",
            K::OriginUnreachable => "No connection: nobody listens at that address, a firewall drops it, or TLS fails (name, authority). The status names the cause for each server.",
            K::OriginTimeout => "No head of an answer within `origin.try_timeout` (a try) or `origin.total_timeout` (all of them). Look for what is slow in the application before you raise them.",
            K::OriginProtocol => "The application's answer breaks HTTP, or broke off: a crash in the middle, a wrong `Content-Length`, fields that are too large, TLS spoken on a plain port.",
            K::Internal => "A fault of Forebay. The log on standard error has the cause; please report it.",
        }
    }
}

/// An error of the edge.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    detail: &'static str,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind`; `detail` is for the log: what exactly, lower case, no full stop.
    pub fn new(kind: ErrorKind, detail: &'static str) -> Error {
        Error { kind, detail, source: None }
    }

    /// Adds what it came from.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What exactly, for the log.
    pub fn detail(&self) -> &'static str {
        self.detail
    }

    /// Status, label, side and sentence.
    pub fn facts(&self) -> Facts {
        self.kind.facts()
    }
}

/// What went wrong and why, each cause behind the one before it.
pub fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_listed_once_under_a_label_of_its_own() {
        let mut labels: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.facts().label).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), ErrorKind::ALL.len());
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
    }
}
