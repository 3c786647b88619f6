use http::HeaderValue;
use http::header::{HeaderMap, RANGE};
use proptest::prelude::*;

use super::range::*;

#[test]
fn ranges_are_read_as_written() {
    use Selection::{One, Several, Unsatisfiable, Whole};
    let table = [
        ("bytes=0-99", One(0..100)),
        ("Bytes=0-0", One(0..1)),
        ("bytes=9990-", One(9990..10_000)),
        ("bytes=9990-99999999999999999999999", One(9990..10_000)),
        ("bytes=-10", One(9990..10_000)),
        ("bytes=-99999", One(0..10_000)),
        ("bytes=10000-", Unsatisfiable),
        ("bytes=-0", Unsatisfiable),
        ("bytes=99999999999999999999999-", Unsatisfiable),
        ("bytes=10000-, 0-1", One(0..2)),
        ("bytes=0-1,5000-5001", Several(vec![0..2, 5000..5002])),
        ("bytes=5000-5001, 0-1", Several(vec![5000..5002, 0..2])),
        ("bytes=0-99,50-149", One(0..150)),
        ("bytes=0-99,150-249", One(0..250)),
        ("bytes=0-4000,4500-9999", Several(vec![0..4001, 4500..10_000])),
        ("bytes=", Whole),
        ("bytes=a-b", Whole),
        ("bytes=5-1", Whole),
        ("bytes=0-1,x", Whole),
        ("bytes=--1", Whole),
        ("bytes=+1-2", Whole),
        ("bytes 0-1", Whole),
        ("lines=0-1", Whole),
        ("", Whole),
    ];
    for (line, expected) in table {
        assert_eq!(select_from(line.as_bytes(), 10_000), expected, "`{line}`");
    }
    let many: Vec<_> = (0..17).map(|i| format!("{}-{}", i * 500, i * 500)).collect();
    assert_eq!(select_from(format!("bytes={}", many.join(",")).as_bytes(), 10_000), Whole);
    assert_eq!(select_from(b"bytes=0-200,400-500", 501), Whole, "parts would cost more");
    assert_eq!(select_from(b"bytes=0-", 0), Unsatisfiable);
    assert_eq!(select_from(b"bytes=-5", 0), Unsatisfiable);
}

#[test]
fn two_range_lines_are_no_range() {
    let mut fields = HeaderMap::new();
    assert_eq!(select(&fields, 9), Selection::Whole);
    fields.append(RANGE, HeaderValue::from_static("bytes=0-1"));
    assert_eq!(select(&fields, 9), Selection::One(0..2));
    fields.append(RANGE, HeaderValue::from_static("bytes=0-1"));
    assert_eq!(select(&fields, 9), Selection::Whole);
}

#[test]
fn content_range_counts_from_zero_and_includes_the_last() {
    assert_eq!(content_range(&(0..1), 10), "bytes 0-0/10");
    assert_eq!(content_range_unsatisfied(10), "bytes */10");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        value in prop::collection::vec(any::<u8>(), 0..80), length in any::<u64>(),
    ) {
        let _ = select_from(&value, length);
    }

    #[test]
    fn exactly_what_was_asked_for_and_small_gaps_are_selected(
        specs in prop::collection::vec((0u64..3000, 0u64..300, 0u8..3), 1..8), length in 1u64..4000,
    ) {
        let mut wanted = vec![false; 4000];
        let written: Vec<_> = specs.iter().map(|(first, more, form)| match form {
            0 => { mark(&mut wanted, *first, first + more, length); format!("{first}-{}", first + more) }
            1 => { mark(&mut wanted, *first, 3999, length); format!("{first}-") }
            _ => {
                if *more > 0 { mark(&mut wanted, length.saturating_sub(*more), 3999, length); }
                format!("-{more}")
            }
        }).collect();
        let text = format!("bytes={}", written.join(","));
        let parts = match select_from(text.as_bytes(), length) {
            Selection::Whole => return Ok(()),
            Selection::Unsatisfiable => Vec::new(),
            Selection::One(part) => vec![part],
            Selection::Several(parts) => parts,
        };
        let mut sent = vec![false; 4000];
        for part in &parts {
            prop_assert!(part.start < part.end && part.end <= length);
            for at in part.clone() {
                let slot = usize::try_from(at).unwrap();
                prop_assert!(!sent[slot], "sent twice");
                sent[slot] = true;
            }
        }
        for at in 0..4000 {
            prop_assert!(!wanted[at] || sent[at], "{} missing of {}", at, text);
        }
        let extra = (0..4000).filter(|at| sent[*at] && !wanted[*at]).count() as u64;
        prop_assert!(extra <= MERGE_GAP * specs.len() as u64);
    }
}

fn mark(wanted: &mut [bool], first: u64, last: u64, length: u64) {
    for at in first..=last.min(length.saturating_sub(1)) {
        wanted[usize::try_from(at).unwrap()] = true;
    }
}
