//! What is not in the key is not shown to the origin of a shared answer. With that, no answer can hold
//! anything of one user that another would then be served: poisoning by unkeyed input and leaks of
//! private pages both end here, whatever the application does.
//!
//! In: the fields of a request and the policy. Out: the fields to forward, or that the request has to pass
//! by the cache. The one hole is the policy's `inform` list, which is for logs and named as such.

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::Uri;

use crate::cache::key::{is_forwarded_for_log, is_in_key, path, stores};
use crate::cache::rules::conditional::{CONDITIONS, strip_conditions};
use crate::cache::rules::{Refusal, RequestView};
use crate::config::policy::Policy;
use crate::exchange::cookies;

#[cfg(test)]
mod tests;

/// Must this request pass by the cache, so that it is neither answered from it nor stored, and is
/// forwarded whole? Under a policy that is so for credentials that the key does not hold: without them the
/// origin could not answer, with them it would see more than is keyed. The policy's exception
/// `ignores_authorization` says that the answer does not depend on them; then they are not forwarded.
///
/// # Errors
/// The reason to pass.
pub fn must_pass(request: RequestView<'_>, policy: Option<&Policy>) -> Result<(), Refusal> {
    let Some(policy) = policy else { return Ok(()) };
    if !stores(policy) {
        return Err(Refusal::PolicyOff);
    }
    let has_credentials = request.fields.contains_key(AUTHORIZATION);
    let is_fine = policy.exceptions.ignores_authorization || is_in_key(&AUTHORIZATION, policy);
    if has_credentials && !is_fine { Err(Refusal::Authorization) } else { Ok(()) }
}

/// The path is read differently by different programs, and answers under this policy may be stored: 400.
pub fn ambiguity(uri: &Uri, policy: Option<&Policy>) -> Option<path::Ambiguity> {
    policy.filter(|policy| stores(policy)).and_then(|_| path::ambiguous_path(uri.path()))
}

/// End-to-end fields to forward for an answer that may be stored. Without a policy: all but conditions and
/// ranges, which a fill does not have. Under one: fields and cookies of the key, and those of `inform`.
/// `Host`, `Accept-Encoding` and the edge's own fields are not here; whoever adds them must add what is
/// equal for all requests of one key.
pub fn forwarded_fields(fields: &HeaderMap, policy: Option<&Policy>) -> HeaderMap {
    let Some(policy) = policy.filter(|policy| stores(policy)) else {
        let mut all = fields.clone();
        strip_conditions(&mut all);
        return all;
    };
    let mut forwarded = HeaderMap::with_capacity(policy.key.fields.len() + 2);
    let names = policy.key.fields.iter().filter(|name| !CONDITIONS.contains(name));
    let informed = policy.key.inform.iter().filter(|name| is_forwarded_for_log(name, policy));
    for name in names.chain(informed) {
        if forwarded.contains_key(name) {
            continue;
        }
        for value in fields.get_all(name) {
            forwarded.append(name.clone(), value.clone());
        }
    }
    if !policy.key.fields.contains(&COOKIE) {
        forwarded.extend(rebuilt_cookies(fields, policy).map(|value| (COOKIE, value)));
    }
    forwarded
}

/// The cookies that are in the key, in the policy's order, so that equal keys make equal bytes.
fn rebuilt_cookies(fields: &HeaderMap, policy: &Policy) -> Option<HeaderValue> {
    let mut text = Vec::new();
    for kept in &policy.key.cookies {
        for (name, value) in cookies(fields).filter(|(name, _)| *name == kept.as_bytes()) {
            if !text.is_empty() {
                text.extend_from_slice(b"; ");
            }
            text.extend_from_slice(name);
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
    if text.is_empty() {
        None
    } else {
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }
}

/// The first field in `forwarded` that is neither in the key nor on the `inform` list: a fault of ours.
/// Cookies are checked one by one.
pub fn unkeyed(forwarded: &HeaderMap, policy: &Policy) -> Option<HeaderName> {
    let is_keyed_cookie = |name: &[u8]| policy.key.cookies.iter().any(|c| c.as_bytes() == name);
    let is_fine = |name: &HeaderName| {
        if *name == COOKIE && !policy.key.fields.contains(&COOKIE) {
            return cookies(forwarded).all(|(name, _)| is_keyed_cookie(name));
        }
        policy.key.fields.contains(name) || is_forwarded_for_log(name, policy)
    };
    forwarded.keys().find(|name| !is_fine(name)).cloned()
}
