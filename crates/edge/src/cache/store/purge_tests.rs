//! Purges of the store, held against a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::memory_tests::raced;
use super::*;
use crate::cache::rules::{Freshness, Refusal, Rule};
use crate::cache::tags::{SURROGATE_KEY, Tag};
use crate::config::cache::Visibility;
use crate::exchange::Encoding;

const MINUTE: Duration = Duration::from_secs(60);

fn tagged(key: &str, secondary: &str, tags: &str) -> Object {
    let mut fields = HeaderMap::new();
    if !tags.is_empty() {
        fields.insert(SURROGATE_KEY, HeaderValue::from_str(tags).expect("plain ASCII"));
    }
    Object::build(&Parts {
        key: key.as_bytes(),
        secondary: secondary.as_bytes(),
        status: StatusCode::OK,
        encoding: Encoding::Identity,
        stored_at_ms: 0,
        freshness: Freshness::new(Rule::MaxAge, MINUTE, Duration::ZERO),
        fields: &fields,
        tags: Visibility::Hidden,
        body: &[Bytes::from_static(b"content")],
    })
    .expect("it fits")
}

fn memory() -> Memory {
    Memory::new(16 << 20, 64 << 10)
}

fn store(memory: &Memory, key: &str, tags: &str) -> Arc<Object> {
    memory.insert(memory.ticket(), tagged(key, "", tags)).expect("it is taken")
}

fn by_tag(tag: &str) -> Selection {
    let mut selection = Selection::default();
    selection.add_tag(Tag::of(tag.as_bytes()));
    selection
}

fn by_prefix(prefix: &str) -> Selection {
    let mut selection = Selection::default();
    selection.add_prefix(prefix.as_bytes());
    selection
}

fn has(memory: &Memory, key: &str) -> bool {
    memory.find(key.as_bytes()).is_some()
}

#[test]
fn a_tag_takes_what_bears_it_and_nothing_else() {
    let memory = memory();
    store(&memory, "a", "one two");
    store(&memory, "b", "two three");
    store(&memory, "c", "");
    assert_eq!(memory.count(&by_tag("two")), 2);
    assert_eq!(memory.count(&by_tag("tw")), 0);
    assert_eq!(memory.purge(by_tag("one"), Effect::Gone, 0), 1);
    assert_eq!((has(&memory, "a"), has(&memory, "b"), has(&memory, "c")), (false, true, true));
    assert_eq!(memory.statistics().objects, 2, "its memory is free");
    assert_eq!(memory.purge(by_tag("one"), Effect::Gone, 0), 0);
}

#[test]
fn a_prefix_takes_urls_whatever_their_keys_hold() {
    let memory = memory();
    for key in ["http://a/x/1", "http://a/x/2\n;currency\n=eur", "http://a/y", "http://ab/x/1"] {
        store(&memory, key, "");
    }
    for value in ["de", "en"] {
        let variant = tagged("http://a/x/3", value, "");
        memory.insert_variant(memory.ticket(), &[ACCEPT], variant).expect("it is taken");
    }
    assert_eq!(memory.count(&by_prefix("http://a/x/")), 4);
    assert_eq!(memory.purge(by_prefix("http://a/x/"), Effect::Gone, 0), 4);
    assert_eq!(memory.statistics().objects, 2, "the mark of the variants goes too");
    assert!(has(&memory, "http://a/y") && has(&memory, "http://ab/x/1"));
}

#[test]
fn what_a_key_holds_after_its_url_is_no_part_of_a_prefix() {
    let memory = memory();
    store(&memory, "http://a/\n;currency\n=eur", "");
    assert_eq!(memory.count(&by_prefix("http://a/\n;currency")), 0);
}

#[test]
fn a_purge_is_seen_before_the_store_was_gone_through() {
    let memory = memory();
    store(&memory, "a", "one");
    store(&memory, "b", "two");
    let held = store(&memory, "c", "three");
    let gone = memory.begin_purge(by_tag("one"), Effect::Gone, 0);
    let stale = memory.begin_purge(by_tag("three"), Effect::Stale, 5_000);
    assert!(!has(&memory, "a") && has(&memory, "b"));
    assert!(held.freshness().is_fresh(Duration::from_secs(6)), "nobody has looked yet");
    assert!(has(&memory, "c"));
    assert!(!held.freshness().is_fresh(Duration::from_secs(6)));
    // What came since is not taken.
    store(&memory, "d", "one");
    assert!(has(&memory, "d"));
    for purge in [&stale, &gone] {
        memory.finish_purge(purge, |taken| assert_eq!(taken, 1));
    }
    assert!(has(&memory, "d") && !has(&memory, "a"));
}

#[test]
fn it_is_told_before_what_it_takes_is_freed() {
    let memory = memory();
    store(&memory, "a", "one");
    let purge = memory.begin_purge(by_tag("one"), Effect::Gone, 0);
    let mut held = 0;
    memory.finish_purge(&purge, |taken| held = memory.statistics().objects + taken);
    assert_eq!((held, memory.statistics().objects), (2, 0));
    // Whoever comes later is told the same.
    memory.finish_purge(&purge, |taken| assert_eq!(taken, 1));
}

#[test]
fn a_prefix_takes_what_is_remembered_of_keys_that_may_not_be_shared() {
    let memory = memory();
    let note = || memory.pass_until(b"http://a/b", 1_000, Refusal::Private);
    note();
    memory.purge(by_tag("one"), Effect::Gone, 0);
    assert!(memory.passed(b"http://a/b", 0).is_some(), "its tags are not known");
    memory.purge(by_prefix("http://a/"), Effect::Gone, 0);
    assert!(memory.passed(b"http://a/b", 0).is_none());
}

#[test]
fn what_is_softly_purged_is_stale_from_that_moment_on() {
    let memory = memory();
    let object = store(&memory, "a", "one");
    let before = object.freshness();
    assert_eq!(memory.purge(by_tag("one"), Effect::Stale, 10_900), 1);
    let (after, age) = (object.freshness(), Duration::from_secs(10));
    assert!(before.is_fresh(age) && !after.is_fresh(age));
    assert_eq!(after.staleness(Duration::from_secs(13)), Duration::from_secs(3));
    // A second time changes nothing, and a lifetime that was over stays over.
    memory.purge(by_tag("one"), Effect::Stale, 30_000);
    assert_eq!(object.freshness(), after);
    let late = store(&memory, "b", "two");
    memory.purge(by_tag("two"), Effect::Stale, 3_600_000);
    assert_eq!(late.freshness(), before);
}

#[test]
fn a_fill_that_began_before_a_purge_stores_nothing_of_it() {
    for effect in [Effect::Gone, Effect::Stale] {
        for selection in [by_tag("one"), by_prefix("http://a/"), Selection::everything()] {
            let memory = memory();
            let before = memory.ticket();
            memory.purge(selection.clone(), effect, 0);
            let refused = memory.insert(before, tagged("http://a/1", "", "one"));
            assert_eq!(refused.expect_err("it is older"), Refused::Purged, "{selection:?}");
            let variant =
                memory.insert_variant(before, &[ACCEPT], tagged("http://a/2", "x", "one"));
            assert_eq!(variant.expect_err("it is older"), Refused::Purged);
            if selection != Selection::everything() {
                let other = memory.insert(before, tagged("http://b/1", "", "two"));
                assert!(other.is_ok(), "{selection:?}");
            }
            store(&memory, "http://a/1", "one");
        }
    }
}

#[test]
fn a_fill_older_than_all_that_is_remembered_stores_nothing() {
    let memory = memory();
    let before = memory.ticket();
    let held = store(&memory, "held", "x");
    for n in 0..5_000 {
        memory.begin_purge(by_tag(&n.to_string()), Effect::Gone, 0);
    }
    memory.purge(by_tag("last"), Effect::Gone, 0);
    let refused = memory.insert(before, tagged("a", "", ""));
    assert_eq!(refused.expect_err("it is not known"), Refused::Purged);
    assert!(!memory.is_gone(&held), "what is stored has been looked at");
    store(&memory, "a", "");
}

#[test]
fn whoever_holds_an_object_learns_that_it_was_purged() {
    let memory = memory();
    let held = store(&memory, "http://a/1", "one");
    memory.purge(by_tag("two"), Effect::Gone, 0);
    memory.purge(by_tag("one"), Effect::Stale, 0);
    assert!(!memory.is_gone(&held));
    memory.purge(by_tag("one"), Effect::Gone, 0);
    assert!(memory.is_gone(&held));
}

#[test]
fn encodings_go_with_their_object_and_bear_no_tags() {
    let memory = memory();
    let object = store(&memory, "a", "one");
    let fields = object.fields();
    let encoded = object.in_encoding(Encoding::Gzip, &fields, &[Bytes::from_static(b"short")]);
    let encoded = memory.insert_encoded(&object, encoded.expect("it fits")).expect("it is taken");
    assert!(!encoded.has_tag(Tag::of(b"one")));
    assert_eq!(memory.count(&Selection::everything()), 1);
    assert_eq!(memory.purge(by_tag("one"), Effect::Gone, 0), 1);
    assert_eq!(memory.statistics().objects, 0);
}

#[test]
fn no_purge_is_lost_however_fills_and_purges_race() {
    let memory = memory();
    let fill = || {
        let ticket = memory.ticket();
        // Each object carries the ticket of its fill in place of the time.
        let object = tagged("a", "", "one");
        let object = object.with_fields(&object.fields(), ticket.0, object.freshness());
        drop(memory.insert(ticket, object.expect("it fits")));
    };
    raced(fill, |round| {
        let purge = memory.begin_purge(by_tag("one"), Effect::Gone, 0);
        if round % 2 == 0 {
            memory.finish_purge(&purge, |_| ());
        }
        if let Some(Found::Object(object)) = memory.find(b"a") {
            assert!(object.stored_at_ms() >= purge.id, "round {round}");
        }
    });
}

#[derive(Debug, Clone)]
enum Step {
    Store(u8, u8, BTreeSet<u8>),
    Purge(What, bool),
    Begin(What),
    /// Stores what was asked for so many steps ago.
    StoreLate(u8, BTreeSet<u8>, usize),
}

#[derive(Debug, Clone)]
enum What {
    Tag(u8),
    Prefix(u8),
    Url(u8),
    Everything,
}

/// Keys of two digits, so that a digit is a prefix of ten.
fn key_of(key: u8) -> String {
    format!("http://a/{:02}", key % 40)
}

impl What {
    fn selection(&self) -> Selection {
        match self {
            What::Tag(tag) => by_tag(&format!("t{tag}")),
            What::Prefix(digit) => by_prefix(&format!("http://a/{}", digit % 4)),
            What::Url(key) => {
                let mut selection = Selection::default();
                selection.add_url(key_of(*key).as_bytes());
                selection
            }
            What::Everything => Selection::everything(),
        }
    }

    fn takes(&self, key: &str, tags: &BTreeSet<u8>) -> bool {
        match self {
            What::Tag(tag) => tags.contains(tag),
            What::Prefix(digit) => key.starts_with(&format!("http://a/{}", digit % 4)),
            What::Url(url) => key == key_of(*url),
            What::Everything => true,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tags = || proptest::collection::btree_set(0..6_u8, 0..4);
    let what = || {
        prop_oneof![
            4 => (0..6_u8).prop_map(What::Tag),
            2 => any::<u8>().prop_map(What::Prefix),
            2 => any::<u8>().prop_map(What::Url),
            1 => Just(What::Everything),
        ]
    };
    let step = prop_oneof![
        8 => (any::<u8>(), 0..3_u8, tags()).prop_map(|(key, variant, tags)| Step::Store(key, variant, tags)),
        2 => (what(), any::<bool>()).prop_map(|(what, is_soft)| Step::Purge(what, is_soft)),
        1 => what().prop_map(Step::Begin),
        2 => (any::<u8>(), tags(), 1..12_usize)
            .prop_map(|(key, tags, ago)| Step::StoreLate(key, tags, ago)),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What the store should hold: by key and variant, the tags and whether it is stale.
type Model = BTreeMap<(String, u8), (BTreeSet<u8>, bool)>;

fn names(tags: &BTreeSet<u8>) -> String {
    tags.iter().map(|tag| format!("t{tag}")).collect::<Vec<_>>().join(" ")
}

fn check(memory: &Memory, model: &Model) -> Result<(), TestCaseError> {
    let age = Duration::from_secs(30);
    for key in 0..40 {
        let key = key_of(key);
        for variant in 0..3_u8 {
            let found = match memory.find(key.as_bytes()) {
                Some(Found::Object(object)) if variant == 0 => Some(object),
                Some(Found::Varies(mark)) if variant > 0 => {
                    memory.variant(&mark, variant.to_string().as_bytes())
                }
                _ => None,
            };
            let is = found.map(|object| !object.freshness().is_fresh(age));
            let should = model.get(&(key.clone(), variant)).map(|(_, is_stale)| *is_stale);
            prop_assert_eq!(is, should, "{} {}", &key, variant);
        }
    }
    for tag in 0..6 {
        let expected = model.values().filter(|(tags, _)| tags.contains(&tag)).count() as u64;
        prop_assert_eq!(memory.count(&by_tag(&format!("t{tag}"))), expected);
    }
    prop_assert_eq!(memory.count(&Selection::everything()), model.len() as u64);
    Ok(())
}

/// Variant 0 is an answer without `Vary`: it and the others drive one another out.
fn put(memory: &Memory, model: &mut Model, key: u8, variant: u8, tags: &BTreeSet<u8>) {
    let key = key_of(key);
    if variant == 0 {
        store(memory, &key, &names(tags));
    } else {
        let object = tagged(&key, &variant.to_string(), &names(tags));
        memory.insert_variant(memory.ticket(), &[ACCEPT], object).expect("it is taken");
    }
    model.retain(|(known, other), _| *known != key || (variant > 0 && *other > 0));
    model.insert((key, variant), (tags.clone(), false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_store_purges_as_a_naive_one_does(steps in steps()) {
        let memory = memory();
        let mut model = Model::new();
        // For each step the ticket before it, and what it purged.
        let mut past: Vec<(Ticket, Option<What>)> = Vec::new();
        let mut begun = Vec::new();
        for step in steps {
            let ticket = memory.ticket();
            let mut purged = None;
            match step {
                Step::Store(key, variant, tags) => put(&memory, &mut model, key, variant, &tags),
                Step::Purge(what, is_soft) => {
                    let expected = model.iter().filter(|((key, _), (tags, _))| what.takes(key, tags));
                    let expected = expected.count() as u64;
                    let effect = if is_soft { Effect::Stale } else { Effect::Gone };
                    prop_assert_eq!(memory.count(&what.selection()), expected);
                    prop_assert_eq!(memory.purge(what.selection(), effect, 20_000), expected);
                    if is_soft {
                        for ((key, _), (tags, is_stale)) in &mut model {
                            *is_stale |= what.takes(key, tags);
                        }
                    } else {
                        model.retain(|(key, _), (tags, _)| !what.takes(key, tags));
                    }
                    purged = Some(what);
                }
                Step::Begin(what) => {
                    begun.push(memory.begin_purge(what.selection(), Effect::Gone, 20_000));
                    model.retain(|(key, _), (tags, _)| !what.takes(key, tags));
                    purged = Some(what);
                }
                Step::StoreLate(key, tags, ago) => {
                    let since = past.len().saturating_sub(ago);
                    let old = past.get(since).map_or(ticket, |(ticket, _)| *ticket);
                    let key = key_of(key);
                    let is_purged = past[since..]
                        .iter()
                        .any(|(_, what)| what.as_ref().is_some_and(|it| it.takes(&key, &tags)));
                    let stored = memory.insert(old, tagged(&key, "", &names(&tags)));
                    prop_assert_eq!(stored.is_err(), is_purged);
                    if !is_purged {
                        model.retain(|(known, _), _| *known != key);
                        model.insert((key, 0), (tags, false));
                    }
                }
            }
            past.push((ticket, purged));
            check(&memory, &model)?;
        }
        for purge in &begun {
            memory.finish_purge(purge, |_| ());
        }
        check(&memory, &model)?;
    }
}
