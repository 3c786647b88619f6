//! Adaptive throttling: an origin that takes fewer requests than come is not sent all of them.
//!
//! "Site Reliability Engineering", chapter 21: of the requests of a window, the share
//! `max(0, (requests - K * accepts) / (requests + 1))` is refused here, so that the origin spends its time
//! on what it can finish and not on refusing. Three things differ from the book. A request counts when its
//! outcome is known, so that a slow answer is no refusal; what is refused is spread evenly and not drawn,
//! which is the same share without its noise; and it is taken from those first that lose least by it
//! ([`Priority`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::counter::Counter;
use serde::{Deserialize, Serialize};

use crate::exchange::Priority;

/// Seconds of a window: soon forgotten, for origins recover by being restarted.
const SECONDS: usize = 10;
/// Requests that an origin must refuse within a window before any is refused for it: a small site has
/// three failures in a row by chance.
const LEAST: u32 = 20;
/// Time that less must be given up before that is said to be so.
const CALM: Duration = Duration::from_secs(5);
/// All requests of a priority.
const WHOLE: f64 = 1.0;

const PRIORITIES: usize = Priority::ALL.len();

/// One origin's, shared by all cores.
pub(super) struct Throttle {
    window: Mutex<Window>,
    /// Something is given up: on every other request the window need not be asked.
    is_shedding: AtomicBool,
    shed: [Counter; PRIORITIES],
}

/// How an origin took a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered, whatever.
    Accepted,
    /// It said that it is overloaded, or nothing in time.
    Refused,
}

/// What changed by a request, for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Up to this priority requests are given up.
    Sheds { up_to: Priority, asked: u32, accepted: u32 },
    /// Nothing is given up any more.
    Ends { after: Duration },
}

/// Throttling at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThrottleView {
    /// Up to which priority requests are given up now; `None` if none are.
    pub sheds: Option<String>,
    /// Seconds since that is so; 0 if none are.
    pub for_s: u64,
    /// Requests of the last ten seconds.
    pub asked: u32,
    /// Those of them that the origin took.
    pub accepted: u32,
    /// Requests given up since the start, by priority.
    pub shed: Vec<(String, u64)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    asked: [u32; PRIORITIES],
    accepted: u32,
    refused: u32,
}

struct Window {
    began: Instant,
    slots: [Slot; SECONDS],
    total: Slot,
    /// Of `slots[second % SECONDS]`.
    second: u64,
    /// What of each priority is given up.
    shares: [f64; PRIORITIES],
    /// What of a request is due to be given up already.
    due: [f64; PRIORITIES],
    /// As it was last told.
    told: Option<Priority>,
    told_at: Instant,
    /// Since when less is given up than was told.
    calmer_since: Option<Instant>,
    shedding_since: Instant,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            window: Mutex::new(Window::new(clock::now())),
            is_shedding: AtomicBool::new(false),
            shed: Default::default(),
        }
    }
}

impl Throttle {
    /// May a request of this priority go on? `factor` is K.
    pub(super) fn admits(
        &self,
        priority: Priority,
        factor: f64,
        now: Instant,
    ) -> (bool, Option<Step>) {
        if !self.is_shedding.load(Ordering::Relaxed) {
            return (true, None);
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.roll(now);
        window.weigh(factor);
        let is_shed = window.sheds(priority);
        if is_shed {
            self.shed[priority as usize].increment();
        }
        (!is_shed, self.told(&mut window, now))
    }

    /// Notes how the origin took a request.
    pub(super) fn note(
        &self,
        priority: Priority,
        outcome: Outcome,
        factor: f64,
        now: Instant,
    ) -> Option<Step> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.roll(now);
        window.count(|slot| {
            slot.asked[priority as usize] += 1;
            match outcome {
                Outcome::Accepted => slot.accepted += 1,
                Outcome::Refused => slot.refused += 1,
            }
        });
        window.weigh(factor);
        self.told(&mut window, now)
    }

    /// As it is now.
    pub(super) fn view(&self, factor: f64, now: Instant) -> ThrottleView {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.roll(now);
        window.weigh(factor);
        let sheds = window.given_up();
        let shed = Priority::ALL
            .map(|priority| (priority.label().to_owned(), self.shed[priority as usize].value()));
        let since = if sheds.is_some() { window.told_at } else { now };
        ThrottleView {
            sheds: sheds.map(|priority| priority.label().to_owned()),
            for_s: now.saturating_duration_since(since).as_secs(),
            asked: window.total.asked.iter().sum(),
            accepted: window.total.accepted,
            shed: shed.into(),
        }
    }

    fn told(&self, window: &mut Window, now: Instant) -> Option<Step> {
        let step = window.step(now);
        let is_shedding = window.told.is_some() || window.given_up().is_some();
        self.is_shedding.store(is_shedding, Ordering::Relaxed);
        step
    }
}

impl Window {
    fn new(now: Instant) -> Window {
        Window {
            began: now,
            slots: [Slot::default(); SECONDS],
            total: Slot::default(),
            second: 0,
            shares: [0.0; PRIORITIES],
            due: [0.0; PRIORITIES],
            told: None,
            told_at: now,
            calmer_since: None,
            shedding_since: now,
        }
    }

    /// Forgets what is older than the window.
    fn roll(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let passed = second.saturating_sub(self.second).min(SECONDS as u64);
        for later in 1..=passed {
            let old = std::mem::take(self.slot(second - passed + later));
            for (total, old) in self.total.asked.iter_mut().zip(old.asked) {
                *total -= old;
            }
            self.total.accepted -= old.accepted;
            self.total.refused -= old.refused;
        }
        self.second = second.max(self.second);
    }

    fn slot(&mut self, second: u64) -> &mut Slot {
        let at = usize::try_from(second % SECONDS as u64).unwrap_or(0);
        &mut self.slots[at]
    }

    fn count(&mut self, add: impl Fn(&mut Slot)) {
        add(self.slot(self.second));
        add(&mut self.total);
    }

    /// Shares what must be given up among the priorities, those first that lose least.
    fn weigh(&mut self, factor: f64) {
        self.shares = [0.0; PRIORITIES];
        if self.total.refused < LEAST {
            return;
        }
        let asked = f64::from(self.total.asked.iter().sum::<u32>());
        let excess = asked - factor * f64::from(self.total.accepted);
        let mut left = asked * (excess / (asked + 1.0)).max(0.0);
        for (share, of_this) in self.shares.iter_mut().zip(self.total.asked) {
            if left <= 0.0 {
                break;
            }
            let of_this = f64::from(of_this);
            *share = if of_this > left { left / of_this } else { WHOLE };
            left -= of_this;
        }
    }

    /// Is it this request's turn to be given up?
    fn sheds(&mut self, priority: Priority) -> bool {
        let at = priority as usize;
        self.due[at] += self.shares[at];
        if self.due[at] < WHOLE {
            return false;
        }
        self.due[at] -= WHOLE;
        self.count(|slot| slot.asked[at] += 1);
        true
    }

    /// The last priority of which something is given up.
    fn given_up(&self) -> Option<Priority> {
        let is_given_up = |priority: &Priority| {
            let at = *priority as usize;
            self.shares[at] > 0.0 && self.total.asked[at] > 0
        };
        Priority::ALL.into_iter().rfind(is_given_up)
    }

    /// What the journal should be told. More is told at once, less after a while.
    fn step(&mut self, now: Instant) -> Option<Step> {
        let given_up = self.given_up();
        if given_up >= self.told {
            self.calmer_since = None;
            if given_up == self.told {
                return None;
            }
        } else {
            let since = *self.calmer_since.get_or_insert(now);
            if now.saturating_duration_since(since) < CALM {
                return None;
            }
            self.calmer_since = None;
        }
        if self.told.is_none() {
            self.shedding_since = now;
        }
        (self.told, self.told_at) = (given_up, now);
        let Some(up_to) = given_up else {
            let after = now.saturating_duration_since(self.shedding_since);
            return Some(Step::Ends { after });
        };
        let asked = self.total.asked.iter().sum();
        Some(Step::Sheds { up_to, asked, accepted: self.total.accepted })
    }
}

impl Step {
    /// In words.
    pub(super) fn sentence(self) -> String {
        let (up_to, asked, accepted) = match self {
            Step::Ends { after } => {
                return format!("sheds nothing any more, after {} s", after.as_secs());
            }
            Step::Sheds { up_to, asked, accepted } => (up_to, asked, accepted),
        };
        let what = match up_to {
            Priority::Covered => "requests that a stored answer covers",
            Priority::Unknown => "misses of clients without cookie or credentials",
            Priority::Known => "misses of all clients",
            Priority::Overdue => "also what stored answers past their time must cover",
        };
        format!("overloaded, sheds {what}: it took {accepted} of {asked} requests in {SECONDS} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTOR: f64 = 2.0;

    /// An origin that takes so many requests a second and refuses the rest, and what came of a run.
    struct Trial {
        throttle: Throttle,
        began: Instant,
        capacity: u32,
        steps: Vec<Step>,
        /// Of the last second: sent, accepted, shed by priority.
        sent: u32,
        shed: [u32; PRIORITIES],
    }

    impl Trial {
        fn of(capacity: u32) -> Trial {
            let throttle = Throttle::default();
            let began = throttle.window.lock().expect("no panic").began;
            let (steps, shed) = (Vec::new(), [0; PRIORITIES]);
            Trial { throttle, began, capacity, steps, sent: 0, shed }
        }

        fn second(&mut self, at: u64, offered: u32, priority: impl Fn(u32) -> Priority) {
            (self.sent, self.shed) = (0, [0; PRIORITIES]);
            for number in 0..offered {
                let within = Duration::from_secs_f64(f64::from(number) / f64::from(offered));
                let now = self.began + Duration::from_secs(at) + within;
                let priority = priority(number);
                let (is_let_in, step) = self.throttle.admits(priority, FACTOR, now);
                self.steps.extend(step);
                if !is_let_in {
                    self.shed[priority as usize] += 1;
                    continue;
                }
                self.sent += 1;
                let is_taken = self.sent <= self.capacity;
                let outcome = if is_taken { Outcome::Accepted } else { Outcome::Refused };
                self.steps.extend(self.throttle.note(priority, outcome, FACTOR, now));
            }
        }
    }

    #[test]
    fn an_origin_at_three_times_its_capacity_is_sent_twice_what_it_takes() {
        let mut trial = Trial::of(100);
        for at in 0..30 {
            trial.second(at, 300, |_| Priority::Unknown);
        }
        assert!((190..=215).contains(&trial.sent), "{}", trial.sent);
        trial.capacity = 1_000;
        for at in 30..60 {
            trial.second(at, 300, |_| Priority::Unknown);
        }
        assert_eq!(trial.sent, 300, "it has recovered");
        assert!(matches!(trial.steps.last(), Some(Step::Ends { .. })), "{:?}", trial.steps);
        assert_eq!(trial.steps.len(), 2, "{:?}", trial.steps);
    }

    #[test]
    fn an_origin_that_takes_half_is_left_alone() {
        let mut trial = Trial::of(150);
        for at in 0..30 {
            trial.second(at, 300, |_| Priority::Unknown);
        }
        assert!(trial.sent > 290, "{}", trial.sent);
    }

    #[test]
    fn those_who_lose_least_are_given_up_first() {
        let mut trial = Trial::of(100);
        // A fifth is covered by stored answers, two fifths are strangers, two fifths are not.
        let mixed = |number: u32| match number % 5 {
            0 => Priority::Covered,
            1 | 2 => Priority::Unknown,
            _ => Priority::Known,
        };
        for at in 0..30 {
            trial.second(at, 300, mixed);
        }
        let [covered, unknown, known, overdue] = trial.shed;
        assert_eq!((covered, known, overdue), (60, 0, 0), "{:?}", trial.shed);
        assert!((20..=50).contains(&unknown), "{unknown}");
        let told = |step: &Step| match step {
            Step::Sheds { up_to, .. } => Some(*up_to),
            Step::Ends { .. } => None,
        };
        let last = trial.steps.iter().filter_map(told).next_back();
        assert_eq!(last, Some(Priority::Unknown), "{:?}", trial.steps);
    }

    #[test]
    fn a_few_failures_of_a_quiet_site_change_nothing() {
        let mut trial = Trial::of(0);
        for at in 0..30 {
            trial.second(at, 1, |_| Priority::Known);
        }
        assert!(trial.steps.is_empty());
        assert_eq!(trial.sent, 1);
    }

    #[test]
    fn an_origin_that_takes_nothing_is_still_asked_now_and_then() {
        let mut trial = Trial::of(0);
        let mut sent = 0;
        for at in 0..60 {
            trial.second(at, 100, |_| Priority::Known);
            sent += trial.sent;
        }
        assert!((30..500).contains(&sent), "{sent}");
        trial.capacity = 1_000;
        for at in 60..90 {
            trial.second(at, 100, |_| Priority::Known);
        }
        assert_eq!(trial.sent, 100, "it is found to be well again");
    }
}
