//! Which query parameters are in the key, and so shown to the origin.

use std::borrow::Cow;

use crate::config::policy::{KeyRule, QueryRule};

/// Parameters that follow people from advertisement to shop and change nothing in the answer; besides
/// every `utm_*`.
pub const MARKETING: [&str; 26] = [
    "_hsenc",
    "_hsmi",
    "_kx",
    "_openstat",
    "dclid",
    "epik",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "igsh",
    "igshid",
    "irclickid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "oly_enc_id",
    "rdt_cid",
    "srsltid",
    "ttclid",
    "twclid",
    "wbraid",
    "yclid",
];

/// The query to key and to send; `None` for none. Borrowed where nothing changes.
pub fn shown<'a>(query: Option<&'a str>, rule: &KeyRule) -> Option<Cow<'a, str>> {
    let query = query?;
    if keeps_all(rule) && !rule.sorts_query {
        return Some(Cow::Borrowed(query));
    }
    let is_unchanged = !rule.sorts_query && parameters(query).all(|(name, _)| keeps(name, rule));
    if is_unchanged {
        return Some(Cow::Borrowed(query));
    }
    let mut kept: Vec<(&str, &str)> =
        parameters(query).filter(|(name, whole)| !whole.is_empty() && keeps(name, rule)).collect();
    if kept.is_empty() {
        return None;
    }
    if rule.sorts_query {
        // Stable: parameters of one name keep their order, which often means something.
        kept.sort_by_key(|(name, _)| *name);
    }
    let mut text = String::with_capacity(query.len());
    for (_, whole) in kept {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(whole);
    }
    Some(Cow::Owned(text))
}

/// Names of the parameters that are dropped.
pub fn dropped(query: &str, rule: &KeyRule) -> impl Iterator<Item = String> {
    parameters(query)
        .filter(|(name, whole)| !whole.is_empty() && !keeps(name, rule))
        .map(|(name, _)| name.to_owned())
}

fn keeps_all(rule: &KeyRule) -> bool {
    rule.query == QueryRule::Keep && !rule.drops_marketing
}

fn keeps(name: &str, rule: &KeyRule) -> bool {
    if rule.drops_marketing && is_marketing(name) {
        return false;
    }
    let is_listed = |names: &[String]| names.iter().any(|listed| is_same(name, listed));
    match &rule.query {
        QueryRule::Keep => true,
        QueryRule::DropAll => false,
        QueryRule::Only(names) => is_listed(names),
        QueryRule::Without(names) => !is_listed(names),
    }
}

/// Is this a parameter of [`MARKETING`], or one of `utm_*`?
pub fn is_marketing(name: &str) -> bool {
    let mut prefix = decoded(name).take(4);
    let is_utm = b"utm_".iter().all(|byte| prefix.next() == Some(*byte));
    is_utm || MARKETING.iter().any(|listed| is_same(name, listed))
}

/// Name and whole text of each parameter.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|whole| (whole.split('=').next().unwrap_or(whole), whole))
}

/// Compares a name as it stands in the query with one as it stands in a policy.
fn is_same(encoded: &str, name: &str) -> bool {
    decoded(encoded).eq(name.bytes())
}

/// Bytes with percent-encoding and `+` undone; what is not well encoded stays as it is.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'+' {
            return Some(b' ');
        }
        let pair = bytes.get(at..at + 2).filter(|_| byte == b'%');
        match pair.and_then(super::path::hex_pair) {
            Some(value) => {
                at += 2;
                Some(value)
            }
            None => Some(byte),
        }
    })
}
