//! Admit: what may come in, and whose it is.
//!
//! In: an exchange whose framing `listen` has already settled. Out: the same exchange with the client's
//! true address and scheme, or a refusal. It looks at a request three times: as a message, after the
//! route is known, and (as [`InFlight`]) while it is in the rooms. It never repairs a request and
//! never believes a field that a stranger may have written.

mod address;
mod content;
mod in_flight;
mod rate;
mod users;

use http::header::MAX_FORWARDS;
use http::{HeaderValue, Method};

use crate::config::admit::Admit;
use crate::config::policy::Caching;
use crate::config::route::Route;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Scheme};

pub use address::{
    FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, is_claim, is_trusted,
};
pub use in_flight::{InFlight, Limit};
pub use rate::{Meter, RateView, Rates, Standing, rate};
pub use users::{Checks, Credentials, Users};

/// The request as a message: address, sizes, authority, method.
///
/// `covers(server_name, host)` says whether the certificate shown for `server_name`, or to a client that
/// named none, is good for `host`.
pub fn message(
    settings: &Admit,
    covers: impl Fn(Option<&str>, &str) -> bool,
    exchange: &mut Exchange,
) -> Result<(), Error> {
    // Asked of the connection itself, not of what a proxy says.
    let is_tls = exchange.client.scheme == Scheme::Https;
    address::settle(settings, exchange);
    if matches!(exchange.head.method, Method::TRACE | Method::CONNECT) {
        return Err(Error::new(ErrorKind::NotImplemented, "method is not served"));
    }
    // The gate bounds HTTP/1; HTTP/2 arrives with the limits of its own frames, so both are held here.
    let target = exchange.head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > settings.max_uri_bytes {
        return Err(Error::new(ErrorKind::UriTooLong, "target longer than allowed"));
    }
    let (name, host) = (exchange.client.server_name.as_deref(), exchange.host());
    if is_tls && name != Some(host) && !covers(name, host) {
        // RFC 9110 §7.4: another host's request on a connection that was opened for this one. Who named no
        // server (health checks, proxies that dial an address) may ask for an address, and for names that
        // no other certificate of ours speaks for: nothing better could have been shown to it.
        return Err(Error::new(ErrorKind::Misdirected, "authority is not the connection's"));
    }
    Ok(())
}

/// The request under its route.
pub fn on_route(settings: &Admit, route: &Route, exchange: &mut Exchange) -> Result<(), Error> {
    let most = route.max_content_bytes.unwrap_or(settings.max_content_bytes);
    content::hold(&mut exchange.body, most)?;
    let is_cacheable = route.policy.as_ref().is_some_and(|policy| policy.caching != Caching::Off);
    let is_read = matches!(exchange.head.method, Method::GET | Method::HEAD);
    if is_cacheable && is_read && !exchange.body.is_empty() {
        // Content is not in the key: whatever it asks for would be stored for everybody.
        return Err(Error::new(ErrorKind::BadMessage, "content on GET where answers are stored"));
    }
    Ok(())
}

/// RFC 9110 §7.6.2: true if an OPTIONS goes no further than here; otherwise what it may still go is counted
/// down. What is no number is nobody's limit.
pub fn goes_no_further(exchange: &mut Exchange) -> bool {
    if exchange.head.method != Method::OPTIONS {
        return false;
    }
    let fields = &mut exchange.head.fields;
    let said = fields.get(MAX_FORWARDS).and_then(|value| value.to_str().ok());
    let said = said.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(hops) = said.and_then(|text| text.parse::<u32>().ok()) else { return false };
    if let Some(left) = hops.checked_sub(1) {
        fields.insert(MAX_FORWARDS, left.into());
    }
    hops == 0
}

/// Value of `Retry-After` when we shed: soon enough for a person, far enough for a crowd.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
