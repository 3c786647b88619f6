//! When certificates end, said long before: in the journal, the status and the metrics.
//!
//! In: the certificates in force and the time. Out: how long each has left, and once a day an entry in the
//! journal for each whose renewal is overdue. It renews nothing.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use serde::{Deserialize, Serialize};

use crate::edge::Edge;

/// Most that may be left when we begin to warn. Certificates of a year are commonly renewed a month before.
const WARNED_BELOW: Duration = Duration::from_secs(21 * 86_400);
/// Short ones are renewed with a third of their life left: with a quarter it is overdue.
const WARNED_BELOW_PART: u32 = 4;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Most certificates that status and metrics name: those that end first.
const MOST_NAMED: usize = 100;

/// A certificate's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The first name that it is for.
    pub name: String,
    /// When it ends, in seconds since 1970.
    pub ends_at: u64,
    /// Whole days that it has left; negative once it has ended.
    pub days_left: i64,
    /// True if it should have been renewed by now.
    pub is_overdue: bool,
    /// Why the last attempt to renew it failed, if it is one that we renew.
    #[serde(default)]
    pub failure: Option<String>,
}

impl Expiry {
    fn of(name: &str, begins: SystemTime, ends: SystemTime, now: SystemTime) -> Expiry {
        let since_1970 =
            |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = |at| i64::try_from(since_1970(at).as_secs()).unwrap_or(i64::MAX);
        let left = ends.duration_since(now).unwrap_or_default();
        let life = ends.duration_since(begins).unwrap_or_default();
        Expiry {
            name: name.to_owned(),
            ends_at: since_1970(ends).as_secs(),
            days_left: (seconds(ends) - seconds(now)).div_euclid(86_400),
            is_overdue: left < WARNED_BELOW.min(life / WARNED_BELOW_PART),
            failure: None,
        }
    }

    /// In words: ``certificate of `a.example` ends in 5 days``.
    pub fn sentence(&self) -> String {
        let days = match self.days_left.unsigned_abs() {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let name = &self.name;
        let what = match self.days_left {
            0 => format!("certificate of `{name}` ends within a day"),
            1.. => format!("certificate of `{name}` ends in {days}"),
            _ => format!("certificate of `{name}` has ended; clients refuse it"),
        };
        match &self.failure {
            Some(why) => format!("{what}; it could not be renewed: {why}"),
            None => what,
        }
    }
}

/// One for each first name, the soonest of it, those that end first in front.
pub(crate) fn all(edge: &Edge) -> Vec<Expiry> {
    let now = clock::wall();
    let mut soonest = BTreeMap::<String, Expiry>::new();
    edge.entrance.certificates().each_lifetime(|name, begins, ends| {
        let expiry = Expiry::of(name, begins, ends, now);
        match soonest.get_mut(name) {
            Some(known) if known.ends_at <= expiry.ends_at => {}
            Some(known) => *known = expiry,
            None => drop(soonest.insert(name.to_owned(), expiry)),
        }
    });
    let mut all: Vec<Expiry> = soonest.into_values().collect();
    all.sort_by_key(|expiry| expiry.ends_at);
    all.truncate(MOST_NAMED);
    for expiry in &mut all {
        expiry.failure = edge.acme.failure(&expiry.name);
    }
    all
}

/// Says it in the journal, each day anew, until the process goes.
pub async fn warn(edge: &Edge, gone: &Drain) {
    let mut said = BTreeMap::new();
    loop {
        look(edge, &mut said);
        if clock::timeout(LOOK_EVERY, gone.begun()).await.is_ok() {
            return;
        }
    }
}

/// One look; `said` holds how many days were left when it was said last.
fn look(edge: &Edge, said: &mut BTreeMap<String, i64>) {
    let overdue: Vec<Expiry> = all(edge).into_iter().filter(|expiry| expiry.is_overdue).collect();
    for expiry in &overdue {
        if said.get(&expiry.name) != Some(&expiry.days_left) {
            tracing::warn!(
                name = expiry.name,
                days_left = expiry.days_left,
                "certificate not renewed"
            );
            edge.journal.write("listen", expiry.sentence());
        }
    }
    *said = overdue.into_iter().map(|expiry| (expiry.name, expiry.days_left)).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn with(life_days: u64, left_seconds: i64) -> Expiry {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let distance = Duration::from_secs(left_seconds.unsigned_abs());
        let ends = if left_seconds < 0 { now - distance } else { now + distance };
        Expiry::of("a.example", ends - DAY * u32::try_from(life_days).expect("days"), ends, now)
    }

    #[test]
    fn renewal_is_overdue_by_the_length_of_a_life() {
        const A_DAY: i64 = 86_400;
        for (life, left, is_overdue) in [
            (365, 22 * A_DAY, false),
            (365, 20 * A_DAY, true),
            (90, 22 * A_DAY, false),
            (90, 20 * A_DAY, true),
            (6, 2 * A_DAY, false),
            (6, A_DAY, true),
            (90, -A_DAY, true),
        ] {
            assert_eq!(with(life, left).is_overdue, is_overdue, "{life} days, {left} s left");
        }
    }

    #[test]
    fn days_are_whole_and_go_below_nothing() {
        for (left, days, words) in [
            (2 * 86_400 + 5, 2, "certificate of `a.example` ends in 2 days"),
            (86_400, 1, "certificate of `a.example` ends in 1 day"),
            (86_399, 0, "certificate of `a.example` ends within a day"),
            (-1, -1, "certificate of `a.example` has ended; clients refuse it"),
        ] {
            let expiry = with(90, left);
            assert_eq!((expiry.days_left, expiry.sentence().as_str()), (days, words));
        }
    }
}
