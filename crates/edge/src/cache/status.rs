//! `Cache-Status` (RFC 9211): what this cache did, as the last member behind those of caches nearer to the
//! origin.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::rules::{Refusal, Rule, Verdict};

/// The field's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,
    /// The method goes through.
    Method,
    /// Nothing is stored for this address.
    UriMiss,
    /// Something is, but no variant that fits.
    VaryMiss,
    /// Nothing usable, for a reason not told apart.
    Miss,
    /// The request wanted the origin asked.
    Request,
    /// What is stored is stale, or must be validated.
    Stale,
    /// Only a part is stored.
    Partial,
}

impl Forward {
    /// Token of RFC 9211.
    pub fn token(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

impl From<Rule> for Forward {
    /// For the rule of [`Verdict::Validate`].
    fn from(rule: Rule) -> Forward {
        if rule.is_of_request() { Forward::Request } else { Forward::Stale }
    }
}

impl From<Refusal> for Forward {
    /// For a request that passes by the cache.
    fn from(refusal: Refusal) -> Forward {
        if refusal == Refusal::Method { Forward::Method } else { Forward::Bypass }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Hit,
    Forward(Forward),
    Neither,
}

/// One member of `Cache-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    outcome: Outcome,
    ttl: Option<i64>,
    forward_status: Option<StatusCode>,
    is_stored: bool,
    is_collapsed: bool,
    detail: Option<&'static str>,
}

impl CacheStatus {
    const NONE: CacheStatus = CacheStatus {
        outcome: Outcome::Neither,
        ttl: None,
        forward_status: None,
        is_stored: false,
        is_collapsed: false,
        detail: None,
    };

    /// Answered from the store with so many seconds left; negative when stale.
    pub fn hit(ttl: i64) -> CacheStatus {
        CacheStatus { outcome: Outcome::Hit, ttl: Some(ttl), ..CacheStatus::NONE }
    }

    /// Went forward.
    pub fn forwarded(reason: Forward) -> CacheStatus {
        CacheStatus { outcome: Outcome::Forward(reason), ..CacheStatus::NONE }
    }

    /// Neither: an answer of our own, such as the 504 for `only-if-cached`.
    pub fn own() -> CacheStatus {
        CacheStatus::NONE
    }

    /// The member for a stored answer under this verdict, as long as nothing was asked.
    pub fn of(verdict: Verdict, ttl: i64) -> CacheStatus {
        match verdict {
            Verdict::Fresh => CacheStatus::hit(ttl),
            Verdict::StaleWhileRevalidate(rule) => CacheStatus::hit(ttl).because(rule.label()),
            Verdict::StaleAccepted => CacheStatus::hit(ttl).because(Rule::RequestMaxStale.label()),
            Verdict::Validate(rule) => CacheStatus::forwarded(rule.into()).because(rule.label()),
            Verdict::OnlyIfCached(_) => CacheStatus::own().because("only-if-cached"),
        }
    }

    /// What the next hop answered.
    #[must_use]
    pub fn answered(mut self, status: StatusCode) -> CacheStatus {
        self.forward_status = Some(status);
        self
    }

    /// The answer is stored, for so many seconds.
    #[must_use]
    pub fn stored(mut self, ttl: i64) -> CacheStatus {
        (self.is_stored, self.ttl) = (true, Some(ttl));
        self
    }

    /// The request waited for another's answer.
    #[must_use]
    pub fn collapsed(mut self) -> CacheStatus {
        self.is_collapsed = true;
        self
    }

    /// Names the rule or refusal; `label` is a token.
    #[must_use]
    pub fn because(mut self, label: &'static str) -> CacheStatus {
        self.detail = Some(label);
        self
    }

    /// Appends `Forebay; …` to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"Forebay");
        match self.outcome {
            Outcome::Hit => out.extend_from_slice(b"; hit"),
            Outcome::Forward(reason) => {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(reason.token().as_bytes());
                if let Some(status) = self.forward_status {
                    out.extend_from_slice(b"; fwd-status=");
                    out.extend_from_slice(status.as_str().as_bytes());
                }
            }
            Outcome::Neither => {}
        }
        if self.is_stored {
            out.extend_from_slice(b"; stored");
        }
        if self.is_collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            out.extend_from_slice(number.format(ttl).as_bytes());
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }

    /// As a field value.
    pub fn value(&self) -> HeaderValue {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(out))
            .unwrap_or(HeaderValue::from_static("Forebay"))
    }

    /// Adds it behind what caches nearer to the origin said.
    pub fn append_to(&self, fields: &mut HeaderMap) {
        fields.append(CACHE_STATUS, self.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_as_rfc_9211_writes_them() {
        let table = [
            (CacheStatus::hit(376), "Forebay; hit; ttl=376"),
            (
                CacheStatus::hit(-30).because(Rule::StaleIfError.label()),
                "Forebay; hit; ttl=-30; detail=stale-if-error",
            ),
            (
                CacheStatus::forwarded(Forward::UriMiss).answered(StatusCode::OK).stored(60),
                "Forebay; fwd=uri-miss; fwd-status=200; stored; ttl=60",
            ),
            (
                CacheStatus::forwarded(Forward::UriMiss).collapsed(),
                "Forebay; fwd=uri-miss; collapsed",
            ),
            (
                CacheStatus::forwarded(Refusal::Method.into()).because(Refusal::Method.label()),
                "Forebay; fwd=method; detail=method",
            ),
            (
                CacheStatus::of(Verdict::Validate(Rule::RequestNoCache), 5),
                "Forebay; fwd=request; detail=request-no-cache",
            ),
            (
                CacheStatus::of(Verdict::Validate(Rule::MustRevalidate), -5),
                "Forebay; fwd=stale; detail=must-revalidate",
            ),
            (
                CacheStatus::of(Verdict::OnlyIfCached(Rule::Stale), -5),
                "Forebay; detail=only-if-cached",
            ),
        ];
        for (status, expected) in table {
            assert_eq!(status.value(), expected);
        }
    }

    #[test]
    fn ours_is_the_last_member() {
        let mut fields = HeaderMap::new();
        fields.insert(CACHE_STATUS, HeaderValue::from_static("Origin; hit"));
        CacheStatus::hit(1).append_to(&mut fields);
        let all: Vec<_> = fields.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(all, ["Origin; hit", "Forebay; hit; ttl=1"]);
    }
}
