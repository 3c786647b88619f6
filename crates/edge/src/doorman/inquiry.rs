//! What an application is told of a request, and the digest of all of it.

use aws_lc_rs::digest::{Context, SHA256};
use http::header::{COOKIE, ORIGIN, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::forward_auth::{ForwardAuth, Shown};
use crate::exchange::{Ask, Exchange, Priority, cookies};
use crate::forward::{Shows, introduce};

/// A question, by the digest of what it says.
#[derive(Debug)]
pub struct Inquiry {
    /// Of all that makes a ruling good for another request too. Salted, so that it says nothing to others.
    pub(super) digest: [u8; 32],
    /// The request shows one of the fields that are looked at.
    pub(super) has_credentials: bool,
    fields: HeaderMap,
}

impl Inquiry {
    pub(super) fn of(settings: &ForwardAuth, salt: &[u8; 32], exchange: &Exchange) -> Inquiry {
        let fields = shown_fields(settings, &exchange.head.fields);
        let shows = |what| settings.show.contains(&what);
        let mut digest = Context::new(&SHA256);
        digest.update(salt);
        // Each with its length before it: no two that differ are digested as the same bytes.
        let mut add = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        add(exchange.client.scheme.as_str().as_bytes());
        add(exchange.head.authority.as_bytes());
        if shows(Shown::Method) {
            add(exchange.head.method.as_str().as_bytes());
        }
        if shows(Shown::Target) {
            add(target(exchange).as_bytes());
        }
        if shows(Shown::Address) {
            add(exchange.client.address.to_string().as_bytes());
        }
        for (name, value) in &fields {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        let digest = digest.finish().as_ref().try_into().unwrap_or_default();
        let has_credentials = fields.keys().any(is_credential);
        Inquiry { digest, has_credentials, fields }
    }

    /// The sub-request: no content, and nothing of the client but what the digest holds.
    pub(super) fn ask(&self, settings: &ForwardAuth, exchange: &Exchange, trace: &[u8; 55]) -> Ask {
        let mut fields = self.fields.clone();
        let mut own = introduce(exchange, Shows::NoClient, trace, &mut fields);
        let mut say = |name: &str, value: &[u8]| own.push(name, |out| out.extend_from_slice(value));
        let shows = |what| settings.show.contains(&what);
        if shows(Shown::Method) {
            let method = exchange.head.method.as_str().as_bytes();
            say("x-forwarded-method", method);
            say("x-original-method", method);
        }
        if shows(Shown::Target) {
            let (scheme, authority) = (exchange.client.scheme.as_str(), &exchange.head.authority);
            let target = target(exchange);
            say("x-forwarded-uri", target.as_bytes());
            say("x-original-url", format!("{scheme}://{authority}{target}").as_bytes());
        }
        if shows(Shown::Address) {
            let address = exchange.client.address.to_canonical().to_string();
            say("x-forwarded-for", address.as_bytes());
            say("x-real-ip", address.as_bytes());
        }
        Ask {
            fields,
            own,
            priority: Priority::Known,
            ..Ask::new(Method::GET, settings.path.clone(), exchange.head.authority.as_str())
        }
    }
}

/// True for fields that may say who asks. What says how an answer is liked, or by which program, is many
/// clients' alike.
pub fn is_credential(name: &HeaderName) -> bool {
    const OTHERS: [HeaderName; 4] =
        [ORIGIN, REFERER, USER_AGENT, HeaderName::from_static("x-requested-with")];
    let name_text = name.as_str();
    !(name_text.starts_with("accept") || name_text.starts_with("sec-") || OTHERS.contains(name))
}

fn target(exchange: &Exchange) -> &str {
    exchange.head.uri.path_and_query().map_or("/", |target| target.as_str())
}

/// The fields that the settings show, in their order.
fn shown_fields(settings: &ForwardAuth, fields: &HeaderMap) -> HeaderMap {
    let mut shown = HeaderMap::new();
    for name in &settings.show_fields {
        if *name == COOKIE && settings.show_cookies.is_some() || shown.contains_key(name) {
            continue;
        }
        for value in fields.get_all(name) {
            shown.append(name.clone(), value.clone());
        }
    }
    if let Some(names) = &settings.show_cookies {
        let kept = |name: &[u8]| names.iter().any(|kept| kept.as_bytes() == name);
        let pairs = cookies(fields).filter(|(name, _)| kept(name));
        let pairs: Vec<Vec<u8>> = pairs.map(|(name, value)| [name, b"=", value].concat()).collect();
        // Pieces of a valid value are valid.
        let line = HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok();
        shown.extend(line.filter(|line| !line.is_empty()).map(|line| (COOKIE, line)));
    }
    shown
}
