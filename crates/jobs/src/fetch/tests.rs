use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::fetcher::ahead;
use super::ledger::Ledger;
use super::*;
use crate::store::{Finish, Lease, Owner, Then, Token};

fn owner(name: &str) -> Owner {
    Owner::named(name)
}

fn lease(token: Token) -> Lease {
    Lease { token, queue: "q".into(), payload: "{}".into() }
}

fn done(lease: &Lease) -> Finish {
    let (token, queue) = (lease.token, Arc::clone(&lease.queue));
    Finish { token, queue, then: Then::Done, unlock: None }
}

#[test]
fn ends_are_told_for_one_owner_at_a_time_and_no_more_than_fit() {
    let mut ledger = Ledger::default();
    for token in ledger.tokens(150) {
        let name = if token.0 < 120 { "a" } else { "b" };
        ledger.ended(owner(name), done(&lease(token)));
    }
    let mut told = Vec::new();
    while ledger.is_in_debt() {
        let (whose, ends) = ledger.owed();
        told.push((whose.unwrap(), ends.len()));
        ledger.paid(ends.len());
    }
    assert_eq!(told, [(owner("a"), 100), (owner("a"), 20), (owner("b"), 30)]);
}

#[test]
fn what_is_leased_ahead_is_what_runs_in_a_millisecond() {
    let micros = Duration::from_micros;
    assert_eq!(ahead(10, micros(1_000)), 0);
    assert_eq!(ahead(10, micros(999)), 10);
    assert_eq!(ahead(10, micros(300)), 30);
    // However short they are, one step brings all of them; and a slot has one more at least.
    assert_eq!(ahead(10, Duration::ZERO), 100);
    assert_eq!(ahead(250, micros(2)), 250);
}

#[test]
fn pauses_of_an_outage_grow_and_are_bounded() {
    let mut outage = Outage::default();
    let mut last = Duration::ZERO;
    for n in 0..40 {
        let pause = outage.begin(&too_late());
        assert!(pause <= Duration::from_secs(5), "{n}: {pause:?}");
        assert!(n == 0 || pause >= last / 2, "{n}: {pause:?} after {last:?}");
        last = pause;
    }
    assert!(last >= Duration::from_millis(2_500) && outage.take_doubt() && !outage.take_doubt());
    assert!(outage.end() && !outage.end());
}

proptest! {
    /// A store that keeps leases by token, whose answers are lost now and then.
    #[test]
    fn no_lease_is_forgotten_and_none_is_run_twice(steps in proptest::collection::vec((0_u8..4, 1_usize..8, any::<bool>()), 1..60)) {
        let (mut ledger, board, me) = (Ledger::default(), Board::default(), owner("a"));
        let (mut theirs, mut started, mut ours) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut is_in_doubt = false;
        for (step, count, is_lost) in steps {
            match step {
                0 => {
                    if std::mem::take(&mut is_in_doubt) {
                        ledger.adopt(&me, theirs.iter().copied().map(lease).collect(), &board);
                        // Those that run are known by their runs, which stand on the board in a worker.
                    }
                    let leases: Vec<Lease> = ledger.tokens(count).into_iter().map(lease).collect();
                    theirs.extend(leases.iter().map(|lease| lease.token));
                    if is_lost { is_in_doubt = true } else { ledger.got(&me, leases) }
                }
                1 => while let Some((_, lease)) = ledger.next_ready() {
                    started.push(lease.token);
                    ours.push(lease);
                },
                2 => for lease in ours.drain(..) { ledger.ended(me.clone(), done(&lease)) },
                _ => {
                    let (_, ends) = ledger.owed();
                    for end in &ends { theirs.remove(&end.token); }
                    if is_lost { is_in_doubt = true } else { ledger.paid(ends.len()) }
                }
            }
            // Runs are over before the next step that may adopt: the board is empty here.
            for lease in ours.drain(..) { ledger.ended(me.clone(), done(&lease)) }
        }
        ledger.adopt(&me, theirs.iter().copied().map(lease).collect(), &board);
        while let Some((_, lease)) = ledger.next_ready() {
            started.push(lease.token);
            ledger.ended(me.clone(), done(&lease));
        }
        while ledger.is_in_debt() {
            let (_, ends) = ledger.owed();
            for end in &ends { theirs.remove(&end.token); }
            ledger.paid(ends.len());
        }
        prop_assert!(theirs.is_empty(), "{theirs:?}");
        let once: BTreeSet<_> = started.iter().copied().collect();
        prop_assert_eq!(once.len(), started.len());
    }
}
