use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_LANGUAGE};
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::cache::rules::{Freshness, Refusal, Rule};
use crate::config::cache::Visibility;
use crate::exchange::Encoding;

fn fresh() -> Freshness {
    Freshness::new(Rule::MaxAge, Duration::from_secs(60), Duration::ZERO)
}

fn object(key: &str, secondary: &str, encoding: Encoding, body: usize) -> Object {
    let body = [Bytes::from(vec![b'x'; body])];
    Object::build(&Parts {
        key: key.as_bytes(),
        secondary: secondary.as_bytes(),
        status: StatusCode::OK,
        encoding,
        stored_at_ms: 0,
        freshness: fresh(),
        fields: &HeaderMap::new(),
        tags: Visibility::Hidden,
        body: &body,
    })
    .unwrap()
}

fn plain(key: &str) -> Object {
    object(key, "", Encoding::Identity, 10)
}

fn memory() -> Memory {
    Memory::new(1 << 20, 64 << 10)
}

fn found(memory: &Memory, key: &str) -> Option<Arc<Object>> {
    match memory.find(key.as_bytes()) {
        Some(Found::Object(object)) => Some(object),
        _ => None,
    }
}

fn varying(memory: &Memory, key: &str) -> Option<Arc<Varying>> {
    match memory.find(key.as_bytes()) {
        Some(Found::Varies(varying)) => Some(varying),
        _ => None,
    }
}

#[test]
fn what_is_stored_is_found_under_its_own_key_only() {
    let memory = memory();
    let stored = memory.insert(memory.ticket(), plain("a")).unwrap();
    assert!(Arc::ptr_eq(&found(&memory, "a").unwrap(), &stored));
    assert!(memory.find(b"b").is_none());
    assert_eq!(memory.statistics().objects, 1);
}

#[test]
fn variants_are_told_apart_by_the_secondary_key() {
    let memory = memory();
    let names = [ACCEPT_LANGUAGE];
    for language in ["de", "en"] {
        let variant = object("a", language, Encoding::Identity, 10);
        memory.insert_variant(memory.ticket(), &names, variant).unwrap();
    }
    let mark = varying(&memory, "a").unwrap();
    assert_eq!(mark.names(), names);
    assert_eq!(memory.variant(&mark, b"de").unwrap().secondary(), b"de");
    assert_eq!(memory.variant(&mark, b"en").unwrap().secondary(), b"en");
    assert!(memory.variant(&mark, b"fr").is_none());
}

#[test]
fn another_vary_replaces_the_first_with_all_its_variants() {
    let memory = memory();
    let variant = |value| object("a", value, Encoding::Identity, 10);
    memory.insert_variant(memory.ticket(), &[ACCEPT_LANGUAGE], variant("de")).unwrap();
    memory.insert_variant(memory.ticket(), &[ACCEPT], variant("text/html")).unwrap();
    let mark = varying(&memory, "a").unwrap();
    assert_eq!(mark.names(), [ACCEPT]);
    assert!(memory.variant(&mark, b"de").is_none());
    assert_eq!(memory.statistics().objects, 2);
    memory.insert(memory.ticket(), plain("a")).unwrap();
    assert_eq!(memory.statistics().objects, 1);
}

#[test]
fn variants_of_one_url_are_bounded() {
    let memory = memory();
    for n in 0..3 * MAX_VARIANTS {
        let variant = object("a", &format!("v{n}"), Encoding::Identity, 10);
        memory.insert_variant(memory.ticket(), &[ACCEPT], variant).unwrap();
    }
    let mark = varying(&memory, "a").unwrap();
    assert_eq!(memory.statistics().objects, MAX_VARIANTS as u64 + 1);
    assert!(memory.variant(&mark, b"v0").is_none());
    assert!(memory.variant(&mark, format!("v{}", 3 * MAX_VARIANTS - 1).as_bytes()).is_some());
}

#[test]
fn encodings_stand_beside_the_object_they_were_made_from() {
    let memory = memory();
    let stored = memory.insert(memory.ticket(), plain("a")).unwrap();
    assert!(memory.encoded(&stored, Encoding::Brotli).is_none());
    memory.insert_encoded(&stored, object("a", "", Encoding::Brotli, 5)).unwrap();
    assert_eq!(memory.encoded(&stored, Encoding::Brotli).unwrap().body_len(), 5);
    assert!(memory.encoded(&stored, Encoding::Gzip).is_none());
    assert_eq!(stored.encodings().collect::<Vec<_>>(), [Encoding::Brotli]);
    // A newer object takes the old encodings with it, and late ones are not taken.
    let newer = memory.insert(memory.ticket(), plain("a")).unwrap();
    assert!(memory.encoded(&newer, Encoding::Brotli).is_none());
    assert_eq!(memory.statistics().objects, 1);
    let late = memory.insert_encoded(&stored, object("a", "", Encoding::Gzip, 5));
    assert_eq!(late.unwrap_err(), Refused::Replaced);
}

#[test]
fn a_variant_may_have_encodings_of_its_own() {
    let memory = memory();
    let variant = object("a", "de", Encoding::Identity, 10);
    let variant = memory.insert_variant(memory.ticket(), &[ACCEPT_LANGUAGE], variant).unwrap();
    memory.insert_encoded(&variant, object("a", "de", Encoding::Zstd, 5)).unwrap();
    assert!(memory.encoded(&variant, Encoding::Zstd).is_some());
    assert!(memory.remove(b"a"));
    assert_eq!(memory.statistics().objects, 0);
}

#[test]
fn a_purge_takes_all_variants_and_what_is_being_fetched() {
    let memory = memory();
    let before = memory.ticket();
    memory.insert_variant(before, &[ACCEPT], object("a", "x", Encoding::Identity, 1)).unwrap();
    memory.insert(before, plain("b")).unwrap();
    memory.pass_until(b"a", 100, Refusal::NoStore);
    assert!(memory.remove(b"a"));
    assert!(memory.find(b"a").is_none());
    assert!(memory.passed(b"a", 50).is_none());
    assert_eq!(memory.insert(before, plain("a")).unwrap_err(), Refused::Purged);
    assert!(found(&memory, "b").is_some());
    memory.insert(memory.ticket(), plain("a")).unwrap();
    assert!(found(&memory, "a").is_some());
    assert!(!memory.remove(b"never there"));
}

#[test]
fn purging_everything_is_seen_at_once_and_leaves_nothing_behind() {
    let memory = memory();
    let before = memory.ticket();
    for n in 0..100 {
        memory.insert(before, plain(&format!("{n}"))).unwrap();
    }
    let held = found(&memory, "7").unwrap();
    memory.insert_encoded(&held, object("7", "", Encoding::Gzip, 5)).unwrap();
    let purge = memory.begin_purge(Selection::everything(), Effect::Gone, 0);
    assert!((0..100).all(|n| found(&memory, &format!("{n}")).is_none()));
    assert!(memory.encoded(&held, Encoding::Gzip).is_none());
    assert_eq!(memory.insert(before, plain("0")).unwrap_err(), Refused::Purged);
    memory.insert(memory.ticket(), plain("1")).unwrap();
    // One has made room for a newer one meanwhile.
    memory.finish_purge(&purge, |taken| assert_eq!(taken, 99));
    assert!(found(&memory, "1").is_some());
    assert_eq!(memory.statistics().objects, 1);
}

#[test]
fn an_invalidated_object_stays_but_must_be_validated() {
    let memory = memory();
    let before = memory.ticket();
    memory.insert(before, plain("a")).unwrap();
    let variant = object("v", "x", Encoding::Identity, 1);
    memory.insert_variant(before, &[ACCEPT], variant).unwrap();
    assert!(memory.invalidate(b"a") && memory.invalidate(b"v"));
    assert!(found(&memory, "a").unwrap().must_validate());
    let mark = varying(&memory, "v").unwrap();
    assert!(memory.variant(&mark, b"x").unwrap().must_validate());
    assert_eq!(memory.insert(before, plain("a")).unwrap_err(), Refused::Purged);
    memory.insert(memory.ticket(), plain("a")).unwrap();
    assert!(!found(&memory, "a").unwrap().must_validate());
    assert!(!memory.invalidate(b"never there"));
}

#[test]
fn keys_that_cannot_be_shared_are_remembered_for_a_while() {
    let memory = memory();
    memory.pass_until(b"a", 100, Refusal::NoStore);
    let pass = Pass { until_ms: 100, refusal: Refusal::NoStore };
    assert_eq!(memory.passed(b"a", 99), Some(pass));
    assert!(memory.passed(b"b", 99).is_none());
    assert!(memory.passed(b"a", 100).is_none());
    for n in 0..100_000_u32 {
        memory.pass_until(&n.to_le_bytes(), 100, Refusal::NoStore);
    }
    let kept = (0..100_000_u32).filter(|n| memory.passed(&n.to_le_bytes(), 1).is_some()).count();
    assert!(kept <= 16_384, "{kept}");
}

#[test]
fn what_is_too_large_is_refused() {
    let memory = memory();
    let large = object("a", "", Encoding::Identity, 70 << 10);
    assert_eq!(memory.insert(memory.ticket(), large).unwrap_err(), Refused::TooLarge);
    let small = Memory::new(10_000, 16 << 20);
    assert!(small.max_object_bytes() <= 10_000);
    let larger = object("a", "", Encoding::Identity, 20_000);
    assert_eq!(small.insert(small.ticket(), larger).unwrap_err(), Refused::TooLarge);
}

#[test]
fn what_is_asked_for_often_survives_a_scan() {
    let memory = Memory::new(1 << 20, 64 << 10);
    memory.insert(memory.ticket(), object("home", "", Encoding::Identity, 1_000)).unwrap();
    for n in 0..20_000 {
        if n % 50 == 0 {
            assert!(found(&memory, "home").is_some(), "gone after {n}");
        }
        let once = object(&format!("scan/{n}"), "", Encoding::Identity, 1_000);
        memory.insert(memory.ticket(), once).unwrap();
    }
    let statistics = memory.statistics();
    assert!(statistics.evictions > 15_000, "{statistics:?}");
    assert!(statistics.bytes <= statistics.capacity_bytes, "{statistics:?}");
}

/// So many rounds while two threads fill.
pub(super) fn raced(fill: impl Fn() + Sync, mut round: impl FnMut(u32)) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    fill();
                }
            });
        }
        (0..2_000).for_each(&mut round);
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_purged_object_never_comes_back_however_fills_and_purges_race() {
    let memory = Memory::new(1 << 20, 64 << 10);
    // Each object carries the ticket of its fill in place of the time.
    let fill = || {
        let ticket = memory.ticket();
        let fields = HeaderMap::new();
        let object = plain("a").with_fields(&fields, ticket.0, fresh()).unwrap();
        drop(memory.insert(ticket, object));
    };
    raced(fill, |round| {
        let purged_at = if round % 2 == 0 {
            memory.remove(b"a");
            *memory.stripe_of(b"a")
        } else {
            let purge = memory.begin_purge(Selection::everything(), Effect::Gone, 0);
            memory.finish_purge(&purge, |_| ());
            purge.id
        };
        if let Some(object) = found(&memory, "a") {
            assert!(object.stored_at_ms() >= purged_at, "round {round}");
        }
    });
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, usize),
    Variant(u8, u8, usize),
    Encode(u8, usize),
    Find(u8),
    Purge(u8),
    PurgeAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<u8>(), 0..9_000_usize).prop_map(|(key, len)| Step::Insert(key, len)),
        4 => (any::<u8>(), 0..4_u8, 0..9_000_usize)
            .prop_map(|(key, value, len)| Step::Variant(key, value, len)),
        2 => (any::<u8>(), 0..5_000_usize).prop_map(|(key, len)| Step::Encode(key, len)),
        8 => any::<u8>().prop_map(Step::Find),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => Just(Step::PurgeAll),
    ];
    proptest::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_bound_holds_and_nobody_gets_anothers_object(steps in steps()) {
        let memory = Memory::new(200_000, 16_000);
        for step in steps {
            match step {
                Step::Insert(key, len) => {
                    let new = object(&key.to_string(), "", Encoding::Identity, len);
                    prop_assert!(memory.insert(memory.ticket(), new).is_ok());
                }
                Step::Variant(key, value, len) => {
                    let (key, value) = (key.to_string(), value.to_string());
                    let new = object(&key, &value, Encoding::Identity, len);
                    prop_assert!(memory.insert_variant(memory.ticket(), &[ACCEPT], new).is_ok());
                }
                Step::Encode(key, len) => if let Some(root) = found(&memory, &key.to_string()) {
                    let new = object(&key.to_string(), "", Encoding::Gzip, len);
                    prop_assert!(memory.insert_encoded(&root, new).is_ok());
                }
                Step::Find(key) => {
                    let key = key.to_string();
                    if let Some(object) = found(&memory, &key) {
                        prop_assert_eq!(object.key(), key.as_bytes());
                    }
                    if let Some(mark) = varying(&memory, &key)
                        && let Some(object) = memory.variant(&mark, b"1")
                    {
                        prop_assert_eq!((object.key(), object.secondary()), (key.as_bytes(), &b"1"[..]));
                    }
                }
                Step::Purge(key) => {
                    memory.remove(key.to_string().as_bytes());
                    prop_assert!(memory.find(key.to_string().as_bytes()).is_none());
                }
                Step::PurgeAll => {
                    memory.purge(Selection::everything(), Effect::Gone, 0);
                    prop_assert_eq!(memory.statistics().objects, 0);
                }
            }
            let statistics = memory.statistics();
            prop_assert!(statistics.bytes <= statistics.capacity_bytes, "{:?}", statistics);
        }
    }
}

#[test]
fn a_store_changes_its_bounds_and_keeps_what_fits() {
    let memory = memory();
    for number in 0..200 {
        memory
            .insert(memory.ticket(), object(&format!("{number}"), "", Encoding::Identity, 2_000))
            .unwrap();
    }
    assert_eq!(memory.statistics().objects, 200);
    assert_eq!(memory.resize(16 << 20, 64 << 10), Resized::Whole);
    assert_eq!(memory.statistics().objects, 200, "a larger store loses nothing");
    assert_eq!(memory.statistics().capacity_bytes, 16 << 20);
    assert_eq!(memory.resize(256 << 10, 4 << 10), Resized::Whole);
    let after = memory.statistics();
    assert!(after.bytes <= 256 << 10 && after.objects > 80, "{after:?}");
    assert_eq!(after.evictions, 200 - after.objects);
    let large = object("large", "", Encoding::Identity, 5_000);
    assert_eq!(memory.insert(memory.ticket(), large).unwrap_err(), Refused::TooLarge);
    assert!(memory.insert(memory.ticket(), object("s", "", Encoding::Identity, 2_000)).is_ok());
}

#[test]
fn a_store_for_small_objects_says_that_large_ones_need_a_new_one() {
    let memory = Memory::new(16 << 20, 64 << 10);
    assert_eq!(
        memory.resize(16 << 20, 12 << 20),
        Resized::ButForLargest { taken_bytes: memory.max_object_bytes() }
    );
    assert!(memory.max_object_bytes() < 12 << 20);
    assert_eq!(memory.resize(16 << 20, 64 << 10), Resized::Whole);
    assert_eq!(Memory::new(16 << 20, 12 << 20).max_object_bytes(), 12 << 20);
}
