//! `[policy.NAME]`: a ready policy with some of its settings changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::SetBy;
use super::geo::ByCountry;
use super::problem::{Wrong, list, suggest};
use super::reader::{Reader, Section};
use super::reference::{POLICY, QUERY};
use super::setting::{OrOff, Setting, word, written};
use crate::config::policy::{Caching, Exceptions, KeyRule, Policy, QueryRule};

/// All policies by name, the ready ones included.
pub(super) type Policies = BTreeMap<String, Arc<Policy>>;

/// What a policy starts from if it does not say: the one that stores only what an answer grants.
const BASE: &str = "api";

pub(super) fn read(reader: &mut Reader<'_>) -> Policies {
    let ready = Policy::READY.iter().filter_map(|name| Policy::ready(name));
    let mut policies: Policies = ready.map(|policy| (policy.name.clone(), policy)).collect();
    for (name, section) in &reader.named(&POLICY) {
        if Policy::READY.contains(name) {
            let wrong = Wrong::new(format!("the policy `{name}` is always there as it is"))
                .hint(format!("write `[policy.my_{name}]` with `extends = \"{name}\"`"));
            reader.refuse_section(section, wrong);
            continue;
        }
        let policy = Arc::new(policy(reader, section, name));
        policies.insert((*name).to_owned(), policy);
    }
    policies
}

fn policy<'t>(reader: &mut Reader<'t>, section: &Section<'t>, name: &str) -> Policy {
    let (base_name, base) = base(reader, section);
    let mut read = Inherit { reader, section, base: base_name };
    let caching = caching(&mut read, base.caching);
    Policy {
        name: name.to_owned(),
        caching,
        is_heuristic: read.get("heuristic", base.is_heuristic),
        stale_while_revalidate: read.time("stale_while_revalidate", base.stale_while_revalidate),
        stale_if_error: read.time("stale_if_error", base.stale_if_error),
        stale_if_overloaded: read.time("stale_if_overloaded", base.stale_if_overloaded),
        error_ttl: read.time("error_ttl", base.error_ttl),
        ignores_client_no_cache: read.get("ignore_client_no_cache", base.ignores_client_no_cache),
        key: key(&mut read, &base.key),
        exceptions: Exceptions {
            strips_set_cookie: read.get("strip_set_cookie", base.exceptions.strips_set_cookie),
            ignores_authorization: read
                .get("ignore_authorization", base.exceptions.ignores_authorization),
        },
    }
}

fn base<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> (&'static str, Arc<Policy>) {
    let check = |name: &String| {
        if Policy::ready(name).is_some() {
            return Ok(());
        }
        Err(Wrong::new(format!("is not a ready policy: `{name}`"))
            .hint(format!("a policy extends one of {}", list(Policy::READY.into_iter()))))
    };
    let name = reader.get_where(section, "extends", BASE.to_owned(), check);
    let ready = Policy::READY.into_iter().find(|ready| *ready == name).unwrap_or(BASE);
    (ready, Policy::ready(ready).unwrap_or_else(Policy::api))
}

/// Storing and its own grant are one decision: a `ttl` without storing would be a riddle.
fn caching(read: &mut Inherit<'_, '_>, base: Caching) -> Caching {
    let (stores, ttl) = match base {
        Caching::Off => (false, None),
        Caching::Granted => (true, None),
        Caching::GrantedOr(ttl) => (true, Some(ttl)),
    };
    let stores = read.get("store", stores);
    let ttl = read.time("ttl", ttl);
    match (stores, ttl) {
        (true, Some(ttl)) => Caching::GrantedOr(ttl),
        (true, None) => Caching::Granted,
        (false, ttl) => {
            let given = read.section.given("ttl");
            if let (Some(given), Some(_)) = (given, ttl) {
                let wrong = Wrong::new("has no effect on a policy that stores nothing")
                    .hint("write `store = true`, or leave `ttl` out");
                read.reader.refuse(read.section, "ttl", given, wrong);
            }
            Caching::Off
        }
    }
}

fn key(read: &mut Inherit<'_, '_>, base: &KeyRule) -> KeyRule {
    KeyRule {
        query: query(read, &base.query),
        drops_marketing: read.get("drop_marketing", base.drops_marketing),
        sorts_query: read.get("sort_query", base.sorts_query),
        fields: read.get::<Vec<HeaderName>>("key_fields", base.fields.clone()),
        cookies: read.get("key_cookies", base.cookies.clone()),
        by_country: read.get("key_geo", OrOff(base.by_country.then_some(ByCountry))).0.is_some(),
        inform: read.get::<Vec<HeaderName>>("inform", base.inform.clone()),
    }
}

fn query(read: &mut Inherit<'_, '_>, base: &QueryRule) -> QueryRule {
    let (reader, section) = (&mut *read.reader, read.section);
    let Some(given) = section.given("query") else {
        let by = SetBy::Policy(read.base);
        reader.note(format!("{}.query", section.path), "\"keep\"".into(), by);
        return base.clone();
    };
    if given.value.get_ref().as_table().is_some() {
        reader.note_given(section, "query", given);
        let inner = reader.inner(&QUERY, given, &format!("{}.query", section.path));
        let only = inner.given("only").is_some();
        let without = inner.given("without").is_some();
        return match (only, without) {
            (true, false) => QueryRule::Only(reader.get(&inner, "only", Vec::new())),
            (false, true) => QueryRule::Without(reader.get(&inner, "without", Vec::new())),
            _ => {
                let wrong = Wrong::new("needs exactly one of `only` and `without`")
                    .hint("write `query = { only = [\"page\"] }`");
                reader.refuse(section, "query", given, wrong);
                base.clone()
            }
        };
    }
    let known = [("keep", QueryWord::Keep), ("drop", QueryWord::Drop)];
    let word = word(given.value, &known);
    let Ok(word) = word else {
        let got = written(given.value.get_ref());
        let wrong = Wrong::new(format!("is not known: `{got}`"))
            .hint("write `keep`, `drop`, `{ only = [\"page\"] }` or `{ without = [\"ref\"] }`");
        reader.refuse(section, "query", given, wrong);
        return base.clone();
    };
    reader.note_given(section, "query", given);
    match word {
        QueryWord::Keep => QueryRule::Keep,
        QueryWord::Drop => QueryRule::DropAll,
    }
}

#[derive(Clone, Copy)]
enum QueryWord {
    Keep,
    Drop,
}

/// Reads settings whose default is the policy extended.
struct Inherit<'r, 't> {
    reader: &'r mut Reader<'t>,
    section: &'r Section<'t>,
    base: &'static str,
}

impl Inherit<'_, '_> {
    fn get<T: Setting>(&mut self, key: &'static str, base: T) -> T {
        self.reader.get_or(self.section, key, base, SetBy::Policy(self.base), |_| Ok(()))
    }

    fn time(&mut self, key: &'static str, base: Option<Duration>) -> Option<Duration> {
        self.get(key, OrOff(base)).0
    }
}

/// A policy that is not there.
pub(super) fn unknown(name: &str, policies: &Policies) -> Wrong {
    Wrong::new(format!("names no policy: `{name}`"))
        .hint(suggest(name, policies.keys().map(String::as_str)))
}
