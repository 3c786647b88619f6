use std::collections::HashMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::sample::Sample;
use super::sketch::{PLACES, Sketches};
use super::*;
use crate::traffic::Outcome;

/// A request for a key of this number, of this many bytes.
fn sample(outcome: Outcome, bytes: u64, weight: u32) -> Sample {
    Sample::of("", Ipv4Addr::LOCALHOST.into(), outcome, bytes, weight)
}

fn count(sketches: &mut Sketches<Vec<u8>>, name: u32, sample: &Sample) {
    sketches.count(&name.to_be_bytes()[..], &Tally::of(sample));
}

impl Top {
    /// Counts samples as if a core had laid them out.
    fn count(&self, samples: &mut Vec<Sample>, traffic: &Traffic) {
        let tray = Tray::new(Mutex::new(std::mem::take(samples)));
        self.lock().count(&[tray], traffic);
    }
}

/// What this core has drawn since it was asked last.
fn drawn() -> Vec<Sample> {
    let mut samples = Vec::with_capacity(sample::MOST_WAITING);
    sample::take(&mut samples);
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_count_is_never_too_high_and_too_low_by_no_more_than_it_says(
        seed in any::<u64>(),
        slices in 1_usize..4,
    ) {
        let mut sketches: Vec<Sketches<Vec<u8>>> = (0..slices).map(|_| Sketches::default()).collect();
        let mut exact: HashMap<String, u64> = HashMap::new();
        let (mut all, mut random) = (0, seed);
        for nth in 0..4_000 {
            random = crate::hashing::mix(random.wrapping_add(nth));
            // A few names are heavy, thousands are light.
            let name = if random % 3 == 0 { (random >> 8) % 20 } else { (random >> 8) % 5_000 };
            let name = u32::try_from(name).expect("small");
            let weight = u32::try_from((random >> 40) % 4 + 1).expect("small");
            let slice = usize::try_from(nth).expect("small") % slices;
            count(&mut sketches[slice], name, &sample(Outcome::Hit, 1, weight));
            *exact.entry(name.to_string()).or_default() += u64::from(weight);
            all += u64::from(weight);
        }
        let show = |key: &Vec<u8>| {
            u32::from_be_bytes(key[..].try_into().expect("four bytes")).to_string()
        };
        let rows = sketch::merged(sketches.iter().map(|it| it.by(Measure::Requests)), show);
        for row in &rows {
            let (counted, is) = (row.tally.requests, exact[&row.name]);
            prop_assert!(counted <= is && is <= counted + row.over, "{row:?}: {is}");
        }
        let bound = all / PLACES as u64 + slices as u64;
        for (name, is) in exact.iter().filter(|(_, is)| **is > bound) {
            prop_assert!(rows.iter().any(|row| row.name == *name), "{name} of {is} is missing");
        }
        prop_assert!(rows.len() <= PLACES * slices);
    }
}

#[test]
fn what_is_rare_and_large_is_found_by_its_bytes() {
    let mut sketches = Sketches::default();
    for name in 0..10_000 {
        count(&mut sketches, name % 2_000, &sample(Outcome::Hit, 10, 1));
        if name % 1_000 == 999 {
            count(&mut sketches, 70_000, &sample(Outcome::Miss, 1_000_000, 1));
        }
    }
    let show = |key: &Vec<u8>| format!("{key:?}");
    for measure in [Measure::Bytes, Measure::Misses] {
        let rows = sketch::merged([sketches.by(measure)].into_iter(), show);
        let heaviest = rows.iter().max_by_key(|row| measure.of(&row.tally)).expect("rows");
        assert_eq!(heaviest.name, show(&70_000_u32.to_be_bytes().to_vec()), "{measure:?}");
        assert_eq!((heaviest.tally.misses, heaviest.tally.bytes), (10, 10_000_000));
    }
}

#[test]
fn what_is_older_than_a_minute_is_forgotten() {
    let (top, traffic) = (Top::default(), Traffic::default());
    top.count(&mut vec![sample(Outcome::Hit, 7, 3)], &traffic);
    traffic.of("shop").record(200, Outcome::Hit, 7, Duration::ZERO);
    let rows = |what| top.view(&traffic, what, By::Requests, 10).rows;
    assert_eq!((rows(What::Clients)[0].requests, rows(What::Clients)[0].bytes), (3, 21));
    assert_eq!((rows(What::Routes)[0].requests, rows(What::Routes)[0].error), (1, 0));
    let age = |seconds| {
        for slice in &mut top.lock().slices {
            slice.began -= Duration::from_secs(seconds);
        }
    };
    age(59);
    let view = top.view(&traffic, What::Clients, By::Requests, 10);
    assert_eq!(view.rows[0].requests, 3, "a slice of its own is new by now");
    assert!((59..=60).contains(&view.window_s), "{}", view.window_s);
    age(1);
    assert!(rows(What::Clients).is_empty() && rows(What::Routes).is_empty());
    traffic.of("shop").record(200, Outcome::Miss, 7, Duration::ZERO);
    assert_eq!(rows(What::Routes)[0].misses, 1);
}

#[test]
fn the_few_that_are_drawn_stand_for_all() {
    sample::begin();
    let exchange = crate::exchange::example("http://shop.example/a?b=1", "2001:db8::77");
    let mut looked_at = Vec::new();
    for burst in [1, 10, 1_000, 100_000, 100_000, 100_000, 300_000, 0, 0, 1_000, 3, 3] {
        for _ in 0..burst {
            saw(&Seen { exchange: &exchange, site: None, outcome: Outcome::Hit, bytes: 5 });
        }
        looked_at.push(drawn().len());
    }
    assert_eq!(&looked_at[..2], &[1, 10], "while it is quiet all are looked at");
    assert!(looked_at.iter().all(|count| *count <= sample::MOST_WAITING), "{looked_at:?}");
    assert!(looked_at[4] < 100 && looked_at[5] < 100, "it settles: {looked_at:?}");
}

/// Requests of a core that is looked at every `tick` of them, as `waits` of the ticks find nobody who counts.
fn estimated(ticks: u32, tick: u32, waits: u32) -> Tally {
    let exchange = crate::exchange::example("http://shop.example/a", "192.0.2.1");
    let mut all = Tally::default();
    for nth in 0..ticks {
        for _ in 0..tick {
            saw(&Seen { exchange: &exchange, site: None, outcome: Outcome::Hit, bytes: 5 });
        }
        let mut samples = Vec::with_capacity(sample::MOST_WAITING);
        if nth % (waits + 1) < waits {
            // Something lies there still.
            samples.push(sample(Outcome::None, 0, 0));
        }
        sample::take(&mut samples);
        let drawn = samples.iter().filter(|sample| sample.weight > 0);
        drawn.for_each(|sample| all.merge(&Tally::of(sample)));
    }
    all
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn what_is_drawn_is_right_on_the_average_while_the_interval_changes() {
    // Ticks that are full and ticks that are empty in turn: the interval never settles.
    for (rounds, ticks, tick, waits) in [
        (2_000, 1, 2_000, 0),
        (200, 30, 40, 0),
        (200, 30, 300, 0),
        (60, 30, 3_000, 0),
        (60, 30, 300, 9),
        (60, 30, 3_000, 29),
    ] {
        sample::begin();
        let mut all = Tally::default();
        for _ in 0..rounds {
            all.merge(&estimated(ticks, tick, waits));
            all.merge(&estimated(8, 0, 0));
        }
        let is = rounds * u64::from(ticks * tick);
        let off = all.requests.abs_diff(is) as f64;
        let deviation = all.requests_variance.sqrt();
        assert!(off < 4.0 * deviation.max(1.0), "{tick}, {waits}: {all:?} of {is}");
        assert!(deviation < 0.02 * is as f64, "{tick}, {waits}: {all:?} of {is}");
    }
}

#[test]
fn counts_of_a_busy_core_come_near_the_truth_within_the_error_that_is_told() {
    sample::begin();
    let (top, traffic) = (Top::default(), Traffic::default());
    let often = crate::exchange::example("http://shop.example/often", "192.0.2.1");
    let seldom = crate::exchange::example("http://shop.example/seldom", "192.0.2.2");
    for _ in 0..20 {
        for nth in 0..20_000 {
            // In a rhythm, which a draw at even distances would fall in step with.
            let exchange = if nth % 4 == 0 { &seldom } else { &often };
            saw(&Seen { exchange, site: None, outcome: Outcome::Hit, bytes: 5 });
        }
        top.count(&mut drawn(), &traffic);
    }
    let view = top.view(&traffic, What::Keys, By::Requests, 10);
    assert!(view.looked_at < 4_000, "{}", view.looked_at);
    for (row, name, is) in [(0, "often", 300_000), (1, "seldom", 100_000)] {
        let row = &view.rows[row];
        assert_eq!(row.name, format!("http://shop.example/{name}"));
        // Twice what is told: four deviations.
        assert!(row.requests.abs_diff(is) < 2 * row.error, "{row:?} is {is}");
        assert!(row.error < is / 2, "{row:?}");
    }
}

#[test]
fn keys_are_shown_as_they_are_safe_and_cut() {
    sample::begin();
    let long = format!("http://shop.example/{}", "x".repeat(500));
    let exchange = crate::exchange::example(&long, "2001:db8:1:2:3::4");
    saw(&Seen { exchange: &exchange, site: None, outcome: Outcome::None, bytes: 0 });
    let (top, traffic) = (Top::default(), Traffic::default());
    top.count(&mut drawn(), &traffic);
    let row = &top.view(&traffic, What::Keys, By::Requests, 1).rows[0];
    assert!(row.name.ends_with("xx…") && row.name.len() == 200, "{row:?}");
    assert_eq!(super::text(b"a\x1b[2Jb\xff"), "a?[2Jb\u{fffd}");
    let row = &top.view(&traffic, What::Clients, By::Requests, 1).rows[0];
    assert_eq!(row.name, "2001:db8:1:2::/64");
}
