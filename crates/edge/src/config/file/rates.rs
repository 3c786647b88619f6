//! `[rate.NAME]`: token buckets that routes name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::origins::is_name;
use super::problem::{Wrong, suggest};
use super::reader::{Reader, Section};
use super::reference::RATE;
use super::setting::{Positive, within};
use crate::config::rate::{
    KEYS, LEAST_INTERVAL, LEAST_KEYS, LONGEST_REFILL, MOST_KEYS, PER, Rate, RateKey,
};
use crate::config::route::Route;

/// All rates by name.
pub(super) type Rates = BTreeMap<String, Arc<Rate>>;

pub(super) fn read(reader: &mut Reader<'_>) -> Rates {
    let mut rates = Rates::new();
    for (name, section) in &reader.named(&RATE) {
        if !is_name(name) {
            let wrong = Wrong::new(format!("is not a proper name: `{name}`"))
                .hint("it stands in answers and metrics; write letters, digits, `-`, `_` and `.`");
            reader.refuse_section(section, wrong);
            continue;
        }
        let rate = Arc::new(rate(reader, section, name));
        rates.insert((*name).to_owned(), rate);
    }
    rates
}

fn rate<'t>(reader: &mut Reader<'t>, section: &Section<'t>, name: &str) -> Rate {
    if section.given("requests").is_none() {
        let wrong = Wrong::new(format!("`{}` does not say how many", section.path))
            .hint("write `requests = 10` and `per = \"1m\"`");
        reader.refuse_section(section, wrong);
    }
    let requests = reader.get_where(section, "requests", 1, within(1, u32::MAX));
    let per = reader.get(section, "per", Positive(PER)).0;
    let burst = reader.get_where(section, "burst", requests, within(1, u32::MAX));
    let rate = Rate {
        name: name.to_owned(),
        requests,
        per,
        burst,
        key: reader.get(section, "key", RateKey::default()),
        ipv4_prefix: reader.get_where(section, "ipv4_prefix", 32, within(1, 32)),
        ipv6_prefix: reader.get_where(section, "ipv6_prefix", 64, within(1, 128)),
        enforces: reader.get(section, "enforce", true),
        announces: reader.get(section, "announce", true),
        keys: reader.get_where(section, "keys", KEYS, within(LEAST_KEYS, MOST_KEYS)),
    };
    check_pace(reader, section, &rate);
    rate
}

fn check_pace<'t>(reader: &mut Reader<'t>, section: &Section<'t>, rate: &Rate) {
    let wrong = if rate.interval() < LEAST_INTERVAL {
        Wrong::new(format!("is too fast to count: {} in {:?}", rate.requests, rate.per))
            .hint("a rate is at most 100,000 requests a second")
    } else if refill(rate).is_none_or(|refill| refill > LONGEST_REFILL) {
        Wrong::new(format!("takes more than 30 days to allow {} requests again", rate.burst))
            .hint("write a smaller `burst`, or more `requests`")
    } else {
        return;
    };
    match section.given("requests") {
        Some(given) => reader.refuse(section, "requests", given, wrong),
        None => reader.refuse_section(section, wrong),
    }
}

/// Time until a bucket that is empty is full.
fn refill(rate: &Rate) -> Option<Duration> {
    rate.interval().checked_mul(rate.burst)
}

/// A limit that no route names limits nothing, and nobody would see that.
pub(super) fn check_used(reader: &mut Reader<'_>, rates: &Rates, routes: &[Route]) {
    if !reader.is_clean() {
        return;
    }
    for (name, section) in &reader.named(&RATE) {
        if rates.contains_key(*name)
            && !routes.iter().flat_map(|route| &route.rates).any(|rate| rate.name == *name)
        {
            let wrong = Wrong::new(format!("no route has the rate `{name}`"))
                .hint(format!("write `rates = [\"{name}\"]` into a `[[route]]`, or remove it"));
            reader.refuse_section(section, wrong);
        }
    }
}

/// What a route says of a rate that is not there.
pub(super) fn unknown(name: &str, rates: &Rates) -> Wrong {
    let hint = if rates.is_empty() {
        format!("write `[rate.{name}]` with `requests` and `per`")
    } else {
        suggest(name, rates.keys().map(String::as_str))
    };
    Wrong::new(format!("names no rate: `{name}`")).hint(hint)
}
