//! One certificate that is kept good: what is there, what failed, what is due.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_signals::clock;

use super::Standing;
use super::keeper::LOOK_EVERY;
use super::state::Pause;
use super::timing::{self, Draw, Window};
use crate::listen::tls::Managed;

/// Least time between two certificates of one name, unless they are short or an operator reloads: whatever an
/// authority or our clock says, they are counted.
const LEAST_LIFE: Duration = Duration::from_secs(3600);

/// A certificate to be kept good.
pub(super) struct Item {
    pub(super) held: Option<Managed>,
    pub(super) draw: Draw,
    pub(super) window: Option<Window>,
    /// When the authority is asked when to renew.
    pub(super) ask_at: Option<Instant>,
    pub(super) failures: u32,
    pub(super) failure: Option<String>,
    /// Not before this, after a failure.
    pub(super) next_attempt: Option<Instant>,
    /// Not before this even if an operator asks: the authority said so.
    pub(super) told_until: Option<Instant>,
}

impl Item {
    pub(super) fn new() -> Item {
        Item {
            held: None,
            draw: draw(),
            window: None,
            ask_at: None,
            failures: 0,
            failure: None,
            next_attempt: None,
            told_until: None,
        }
    }

    fn renew_at(&self, names: &[String]) -> Option<SystemTime> {
        let held = self.held.as_ref().filter(|held| held.covers(names))?;
        Some(timing::renew_at(held.lifetime()?, self.window, self.draw))
    }

    /// Time until an attempt is due.
    pub(super) fn due_in(&self, names: &[String]) -> Duration {
        let renew_at = self.renew_at(names);
        let due = renew_at.and_then(|at| at.duration_since(clock::wall()).ok()).unwrap_or_default();
        let pause = self.next_attempt.map(|at| at.saturating_duration_since(clock::now()));
        due.max(pause.unwrap_or_default())
    }

    /// Time until the authority is asked when to renew.
    pub(super) fn ask_in(&self) -> Duration {
        match (&self.held, self.ask_at) {
            (None, _) => LOOK_EVERY,
            (Some(_), None) => Duration::ZERO,
            (Some(_), Some(at)) => at.saturating_duration_since(clock::now()),
        }
    }

    /// There is a new one.
    pub(super) fn succeeded(&mut self, held: Managed) {
        let lifetime = held.lifetime();
        let life = lifetime.and_then(|(begins, ends)| ends.duration_since(begins).ok());
        *self = Item { held: Some(held), ..Item::new() };
        let least = life.map_or(LEAST_LIFE, |life| LEAST_LIFE.min(life / 3));
        self.next_attempt = Some(clock::now() + least);
    }

    /// There is none, and the authority may have said for how long. Returns the pause until the next attempt.
    pub(super) fn failed(&mut self, why: String, told: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(why);
        let pause = timing::pause(self.failures, told, draw());
        self.next_attempt = Some(clock::now() + pause);
        self.told_until = told.map(|told| clock::now() + told.min(pause));
        pause
    }

    /// What the process that comes after this one has to know.
    pub(super) fn pause(&self) -> Option<Pause> {
        let wall = |at: Instant| clock::wall() + at.saturating_duration_since(clock::now());
        Some(Pause {
            failures: self.failures,
            why: self.failure.clone()?,
            next_attempt: self.next_attempt.map(wall)?,
            told_until: self.told_until.map(wall),
            asked: String::new(),
        })
    }

    /// Goes on where the process before this one stopped.
    pub(super) fn goes_on(&mut self, pause: Pause) {
        // A clock that jumped, or a file that somebody wrote, keeps nothing back for longer than an
        // authority may ask for.
        let left = |until: SystemTime| {
            let left = until.duration_since(clock::wall()).unwrap_or_default();
            clock::now() + left.min(timing::LONGEST_TOLD)
        };
        self.failures = pause.failures;
        self.failure = Some(pause.why);
        self.next_attempt = Some(left(pause.next_attempt));
        self.told_until = pause.told_until.map(left);
    }

    /// Takes over what was found in the folder.
    pub(super) fn takes(&mut self, held: Option<Managed>) {
        let is_same = match (&self.held, &held) {
            (Some(old), Some(new)) => old.is(new),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            let told_until = self.told_until;
            *self = Item { draw: self.draw, told_until, next_attempt: told_until, ..Item::new() };
        }
        self.held = held;
    }
}

/// How it stands, for others.
pub(super) fn standing(names: &[String], item: &Item) -> Standing {
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let next = item.next_attempt.map(|at| at.saturating_duration_since(clock::now()));
    Standing {
        names: names.to_vec(),
        is_held: item.held.is_some(),
        renew_at: item.renew_at(names).map(seconds),
        failures: item.failures,
        failure: item.failure.clone(),
        next_attempt_at: next.map(|pause| seconds(clock::wall() + pause)),
    }
}

/// A number that nobody knows before.
pub(super) fn draw() -> Draw {
    let number = RandomState::new().hash_one(0) >> 32;
    Draw(u32::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn who_starts_again_waits_as_before() {
        let names = ["a.example".to_owned()];
        let mut item = Item::new();
        assert!(item.pause().is_none());
        item.failed("no".into(), None);
        let pause = item.failed("it said 429".into(), Some(600 * MINUTE));
        let known = item.pause().expect("it failed");
        let mut next = Item::new();
        assert_eq!(next.due_in(&names), Duration::ZERO);
        next.goes_on(known);
        assert_eq!((next.failures, next.failure.as_deref()), (2, Some("it said 429")));
        let due = next.due_in(&names);
        assert!(due <= pause && due + MINUTE > pause, "{due:?} of {pause:?}");
        // What an operator asks for changes nothing at what the authority said.
        next.next_attempt = next.told_until;
        assert!(next.due_in(&names) + MINUTE > 600 * MINUTE);
    }

    #[test]
    fn no_file_keeps_an_attempt_back_for_ever() {
        let far = clock::wall() + Duration::from_secs(1 << 40);
        let pause = Pause {
            failures: 1,
            why: "x".into(),
            next_attempt: far,
            told_until: Some(far),
            asked: String::new(),
        };
        let mut item = Item::new();
        item.goes_on(pause);
        assert!(item.due_in(&[]) <= timing::LONGEST_TOLD);
    }
}
