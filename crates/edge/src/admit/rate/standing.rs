//! What an answer tells of the rates of its route.

use std::sync::Arc;

use super::Meter;
use super::buckets::Drawn;
use crate::error::{Error, ErrorKind};

/// What the rates of a route say of a request, in their order, up to the one that refuses it.
#[derive(Debug, Default)]
pub struct Standing {
    drawn: Vec<Drawn>,
    is_refused: bool,
}

impl Standing {
    /// Room for this many.
    pub(super) fn of(rates: usize) -> Standing {
        Standing { drawn: Vec::with_capacity(rates), is_refused: false }
    }

    /// Adds what one more says.
    pub(super) fn push(&mut self, meter: &Meter, drawn: Drawn) {
        self.drawn.push(drawn);
        self.is_refused = meter.rate.enforces && matches!(drawn, Drawn::Empty { .. });
    }

    /// True if a rate that is enforced has no request left.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The refusal, if it is one.
    pub fn verdict(&self) -> Result<(), Error> {
        if self.is_refused {
            return Err(Error::new(ErrorKind::RateLimited, "more requests than the rate allows"));
        }
        Ok(())
    }

    /// Seconds until the next request is let in, if this one was not.
    pub fn retry_after(&self) -> Option<u64> {
        match self.drawn.last() {
            Some(Drawn::Empty { next_in_us, .. }) if self.is_refused => Some(seconds(*next_in_us)),
            _ => None,
        }
    }

    /// Value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10 §4); nothing if no rate tells. The
    /// meters are those that were asked.
    pub fn write_limit(&self, meters: &[Arc<Meter>], out: &mut Vec<u8>) {
        for (at, (meter, drawn)) in self.announced(meters).enumerate() {
            let (left, full_in_us) = match *drawn {
                Drawn::Taken { left, full_in_us, .. } => (left, full_in_us),
                Drawn::Empty { full_in_us, .. } => (0, full_in_us),
            };
            separate(out, at);
            item(out, &meter.rate.name, ("r", left), ("t", seconds(full_in_us)));
        }
    }

    /// Value of `RateLimit-Policy` (the same draft, §3).
    pub fn write_policy(&self, meters: &[Arc<Meter>], out: &mut Vec<u8>) {
        for (at, (meter, _)) in self.announced(meters).enumerate() {
            separate(out, at);
            let (name, quota, window_s) = meter.quota();
            item(out, name, ("q", u64::from(quota)), ("w", window_s));
        }
    }

    /// True if an answer tells of it.
    pub fn is_announced(&self, meters: &[Arc<Meter>]) -> bool {
        self.announced(meters).next().is_some()
    }

    fn announced<'s>(
        &'s self,
        meters: &'s [Arc<Meter>],
    ) -> impl Iterator<Item = (&'s Meter, &'s Drawn)> {
        let asked = meters.iter().map(|meter| &**meter).zip(&self.drawn);
        asked.filter(|(meter, _)| meter.rate.announces && meter.rate.enforces)
    }
}

fn separate(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.extend_from_slice(b", ");
    }
}

/// One item of a list of structured fields (RFC 9651 §3.1): names are checked to need no escapes.
fn item(out: &mut Vec<u8>, name: &str, first: (&str, u64), second: (&str, u64)) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    for (key, value) in [first, second] {
        out.push(b';');
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Whole seconds, rounded up: who waits so long does not come too early.
fn seconds(us: u64) -> u64 {
    us.div_ceil(1_000_000)
}
