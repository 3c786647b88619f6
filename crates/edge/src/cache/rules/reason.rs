//! Rules and refusals by name. `label` goes into `Cache-Status` and logs, `explanation` into
//! `forebay cache why`.

/// A rule that granted or shortened a stored answer's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// `s-maxage` of the answer.
    SMaxage,
    /// `max-age` of the answer.
    MaxAge,
    /// `Expires` of the answer.
    Expires,
    /// `CDN-Cache-Control`.
    CdnCacheControl,
    /// `Surrogate-Control`.
    SurrogateControl,
    /// The policy's `ttl`.
    PolicyTtl,
    /// The policy's `error_ttl`.
    PolicyErrorTtl,
    /// A guess from `Last-Modified`, where the policy allows one.
    Heuristic,
    /// `no-cache` of the answer.
    NoCache,
    /// `must-revalidate`.
    MustRevalidate,
    /// `proxy-revalidate`.
    ProxyRevalidate,
    /// Its lifetime is over and nothing lets it be served.
    Stale,
    /// It is stale beyond what was allowed.
    StaleTooLong,
    /// `stale-while-revalidate` of the answer.
    StaleWhileRevalidate,
    /// The policy's `stale_while_revalidate`.
    PolicyStaleWhileRevalidate,
    /// `stale-if-error` of the answer.
    StaleIfError,
    /// The policy's `stale_if_error`.
    PolicyStaleIfError,
    /// The policy's `stale_if_overloaded`.
    PolicyStaleIfOverloaded,
    /// No origin can be reached, and nothing forbids a stale answer.
    Disconnected,
    /// The client's `no-cache` or `Pragma`.
    RequestNoCache,
    /// The client's `max-age`.
    RequestMaxAge,
    /// The client's `min-fresh`.
    RequestMinFresh,
    /// The client's `max-stale`.
    RequestMaxStale,
}

impl Rule {
    /// All of them, for the reference.
    #[rustfmt::skip]
    pub const ALL: [Rule; Rule::RequestMaxStale as usize + 1] = {
        use Rule as R;
        [
            R::SMaxage, R::MaxAge, R::Expires, R::CdnCacheControl, R::SurrogateControl,
            R::PolicyTtl, R::PolicyErrorTtl, R::Heuristic, R::NoCache, R::MustRevalidate,
            R::ProxyRevalidate, R::Stale, R::StaleTooLong, R::StaleWhileRevalidate,
            R::PolicyStaleWhileRevalidate, R::StaleIfError, R::PolicyStaleIfError,
            R::PolicyStaleIfOverloaded, R::Disconnected,
            R::RequestNoCache, R::RequestMaxAge, R::RequestMinFresh, R::RequestMaxStale,
        ]
    };

    /// Token for `Cache-Status` and metrics.
    pub fn label(self) -> &'static str {
        self.facts().0
    }

    /// One sentence with its source.
    pub fn explanation(self) -> &'static str {
        self.facts().1
    }

    /// True if the client's own request asks for more than a stored answer.
    pub fn is_of_request(self) -> bool {
        matches!(self, Rule::RequestNoCache | Rule::RequestMaxAge | Rule::RequestMinFresh)
    }

    #[rustfmt::skip]
    fn facts(self) -> (&'static str, &'static str) {
        use Rule as R;
        match self {
            R::SMaxage => ("s-maxage", "the answer's s-maxage says how long shared caches may use it (RFC 9111 §5.2.2.10)"),
            R::MaxAge => ("max-age", "the answer's max-age says how long it may be used (RFC 9111 §5.2.2.1)"),
            R::Expires => ("expires", "the answer's Expires says until when it may be used (RFC 9111 §5.3)"),
            R::CdnCacheControl => ("cdn-cache-control", "the answer's CDN-Cache-Control overrides Cache-Control and Expires (RFC 9213 §2.2)"),
            R::SurrogateControl => ("surrogate-control", "the answer's Surrogate-Control overrides Cache-Control and Expires"),
            R::PolicyTtl => ("policy-ttl", "the answer says nothing, so the policy's ttl holds"),
            R::PolicyErrorTtl => ("policy-error-ttl", "the error says nothing, so the policy's error_ttl holds"),
            R::Heuristic => ("heuristic", "the policy allows a guess: a tenth of the time since Last-Modified, at most a day (RFC 9111 §4.2.2)"),
            R::NoCache => ("no-cache", "the answer's no-cache wants the origin asked before each use (RFC 9111 §5.2.2.4)"),
            R::MustRevalidate => ("must-revalidate", "the answer's must-revalidate forbids it once stale (RFC 9111 §5.2.2.2)"),
            R::ProxyRevalidate => ("proxy-revalidate", "the answer's proxy-revalidate forbids it to shared caches once stale (RFC 9111 §5.2.2.8)"),
            R::Stale => ("stale", "its lifetime is over (RFC 9111 §4.2)"),
            R::StaleTooLong => ("stale-too-long", "it has been stale for longer than is allowed (RFC 9111 §4.2.4)"),
            R::StaleWhileRevalidate => ("stale-while-revalidate", "the answer allows it stale while it is fetched anew (RFC 5861 §3)"),
            R::PolicyStaleWhileRevalidate => ("policy-stale-while-revalidate", "the policy allows it stale while it is fetched anew (RFC 5861 §3)"),
            R::StaleIfError => ("stale-if-error", "the answer allows it stale when the origin fails (RFC 5861 §4)"),
            R::PolicyStaleIfError => ("policy-stale-if-error", "the policy allows it stale when the origin fails (RFC 5861 §4)"),
            R::PolicyStaleIfOverloaded => ("policy-stale-if-overloaded", "the policy allows it stale for longer while the origin is overloaded (RFC 9111 §4.2.4)"),
            R::Disconnected => ("disconnected", "no origin can be reached, and nothing forbids it stale (RFC 9111 §4.2.4)"),
            R::RequestNoCache => ("request-no-cache", "the request wants the origin asked (RFC 9111 §5.2.1.4)"),
            R::RequestMaxAge => ("request-max-age", "it is older than the request accepts (RFC 9111 §5.2.1.1)"),
            R::RequestMinFresh => ("request-min-fresh", "it will not stay fresh for as long as the request wants (RFC 9111 §5.2.1.3)"),
            R::RequestMaxStale => ("request-max-stale", "the request accepts it stale (RFC 9111 §5.2.1.2)"),
        }
    }
}

/// Why an answer is not stored, or a request not answered from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not a GET.
    Method,
    /// The policy stores nothing.
    PolicyOff,
    /// `no-store` of the request.
    RequestNoStore,
    /// 1xx, 206 and 304 are no whole answers.
    Status,
    /// `must-understand` with a status we do not know.
    NotUnderstood,
    /// `no-store` of the answer.
    NoStore,
    /// `private`.
    Private,
    /// `Set-Cookie`.
    SetCookie,
    /// The request carried `Authorization`.
    Authorization,
    /// The request carried `Cookie`.
    Cookie,
    /// The route takes fields of a client from `forward_auth`, and the key does not hold them.
    Identity,
    /// `Vary: *`.
    VaryStar,
    /// `Vary` names `Cookie` or `Authorization`, and the key does not hold it.
    VarySecret,
    /// `Vary` does not parse, names too many fields, or one that the edge writes for each client.
    VaryUnusable,
    /// Nothing says how long.
    NoFreshness,
    /// Larger than the store takes.
    TooLarge,
    /// More tags than are kept.
    TooManyTags,
    /// Stale on arrival, nothing to validate it with and nothing that lets it be served stale.
    NothingToReuse,
}

impl Refusal {
    /// All of them, for the reference.
    #[rustfmt::skip]
    pub const ALL: [Refusal; Refusal::NothingToReuse as usize + 1] = {
        use Refusal as R;
        [
            R::Method, R::PolicyOff, R::RequestNoStore, R::Status, R::NotUnderstood, R::NoStore,
            R::Private, R::SetCookie, R::Authorization, R::Cookie, R::Identity, R::VaryStar,
            R::VarySecret, R::VaryUnusable, R::NoFreshness, R::TooLarge, R::TooManyTags, R::NothingToReuse,
        ]
    };

    /// True if another request for the same might have its answer stored: it says nothing of the answer.
    pub fn is_of_request(self) -> bool {
        matches!(
            self,
            Refusal::Method
                | Refusal::PolicyOff
                | Refusal::RequestNoStore
                | Refusal::Authorization
                | Refusal::Cookie
                | Refusal::Identity
        )
    }

    /// Token for `Cache-Status` and metrics.
    pub fn label(self) -> &'static str {
        self.facts().0
    }

    /// One sentence with its source.
    pub fn explanation(self) -> &'static str {
        self.facts().1
    }

    #[rustfmt::skip]
    fn facts(self) -> (&'static str, &'static str) {
        use Refusal as R;
        match self {
            R::Method => ("method", "only answers to GET are stored (RFC 9111 §3)"),
            R::PolicyOff => ("policy-off", "the route's policy stores nothing"),
            R::RequestNoStore => ("request-no-store", "the request forbids storing its answer (RFC 9111 §5.2.1.5)"),
            R::Status => ("status", "answers with this status are not stored (RFC 9111 §3)"),
            R::NotUnderstood => ("must-understand", "must-understand, and the status is not one we know (RFC 9111 §5.2.2.3)"),
            R::NoStore => ("no-store", "the answer's no-store forbids it (RFC 9111 §5.2.2.5)"),
            R::Private => ("private", "the answer is for one user (RFC 9111 §5.2.2.7)"),
            R::SetCookie => ("set-cookie", "the answer sets a cookie, which is for one user; an exception of the policy can store it without"),
            R::Authorization => ("authorization", "the request carried Authorization, and nothing permits sharing its answer (RFC 9111 §3.5)"),
            R::Cookie => ("cookie", "the request carried Cookie, and the answer has no public, s-maxage or targeted field"),
            R::Identity => ("identity", "the route's forward_auth says whose request it is, and no policy has all of that in its key: the answer is for this client alone"),
            R::VaryStar => ("vary-star", "Vary: * matches no other request (RFC 9111 §4.1)"),
            R::VarySecret => ("vary-secret", "the answer varies by Cookie or Authorization, which the key does not hold"),
            R::VaryUnusable => ("vary-unusable", "Vary does not parse, names too many fields, or one that differs with every client"),
            R::NoFreshness => ("no-freshness", "nothing says how long it may be used (RFC 9111 §4.2.1)"),
            R::TooLarge => ("too-large", "it is larger than `cache.max_object`"),
            R::TooManyTags => ("too-many-tags", "it has more or longer tags than are kept (1,000 tags of up to 1,024 bytes, 16 KiB in all): a purge by tag would miss it"),
            R::NothingToReuse => ("nothing-to-reuse", "it is stale on arrival and has no validator (RFC 9111 §4.3)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once() {
        for (place, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, place, "{rule:?}");
        }
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place, "{refusal:?}");
        }
    }

    #[test]
    fn labels_are_tokens_of_structured_fields() {
        let refusals = Refusal::ALL.into_iter().map(Refusal::label);
        for label in refusals.chain(Rule::ALL.into_iter().map(Rule::label)) {
            assert!(label.starts_with(|first: char| first.is_ascii_lowercase()), "`{label}`");
            assert!(
                label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "`{label}`"
            );
        }
    }
}
