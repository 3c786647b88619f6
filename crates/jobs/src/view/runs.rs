//! What this process ran, by class.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use forebay_signals::counter::Counter;
use forebay_signals::histogram::{Histogram, Reading};

use crate::run::Ending;

/// Classes that are told apart. Names come from whoever pushes: without a bound they would be a memory's end.
const MOST_CLASSES: usize = 100;
/// All classes beyond.
const OTHER: &str = "other";

/// Counts and times of runs by class. It may outlive a worker, and go on with the next.
///
/// ```
/// use forebay_jobs::view::Runs;
/// assert!(Runs::default().classes().is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Runs {
    classes: RwLock<BTreeMap<Box<str>, Arc<Class>>>,
}

#[derive(Debug, Default)]
struct Class {
    done: Counter,
    failed: Counter,
    dead: Counter,
    took: Histogram,
}

/// A class at a glance.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
/// client.push_raw("Unknown", &()).await?;
/// let runs = Arc::new(forebay_jobs::view::Runs::default());
/// testing::drain(&Worker::builder(store).runs(runs.clone()).build()).await?;
/// let class = &runs.classes()[0];
/// assert_eq!((&*class.name, class.done, class.failed, class.took.count()), ("Unknown", 0, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassView {
    /// Its name; `other` for all beyond the first hundred.
    pub name: String,
    /// Runs that ended as they should.
    pub done: u64,
    /// Runs that failed, and their jobs are tried again or gone.
    pub failed: u64,
    /// Runs that failed as the last of their jobs.
    pub dead: u64,
    /// How long runs took.
    pub took: Reading,
}

impl Runs {
    /// All classes, by name.
    ///
    /// ```
    /// use forebay_jobs::view::Runs;
    /// fn failures(runs: &Runs) -> u64 {
    ///     runs.classes().iter().map(|it| it.failed + it.dead).sum()
    /// }
    /// assert_eq!(failures(&Runs::default()), 0);
    /// ```
    pub fn classes(&self) -> Vec<ClassView> {
        let classes = self.classes.read().unwrap_or_else(PoisonError::into_inner);
        let all = classes.iter().map(|(name, class)| ClassView {
            name: name.to_string(),
            done: class.done.value(),
            failed: class.failed.value(),
            dead: class.dead.value(),
            took: class.took.reading(),
        });
        all.collect()
    }

    pub(crate) fn count(&self, class: &str, ending: Ending, took: Duration) {
        let class = self.class(class);
        match ending {
            Ending::Done => class.done.add(1),
            Ending::Failed => class.failed.add(1),
            Ending::Died => class.dead.add(1),
            // It did not run to an end.
            Ending::Malformed | Ending::Expired | Ending::Cancelled | Ending::Later => return,
        }
        class.took.record(took);
    }

    fn class(&self, name: &str) -> Arc<Class> {
        let known = self.classes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = known.get(name) {
            return Arc::clone(class);
        }
        drop(known);
        let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        let has_room = classes.len() < MOST_CLASSES || classes.contains_key(name);
        Arc::clone(classes.entry(if has_room { name } else { OTHER }.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_beyond_the_bound_are_one() {
        let runs = Runs::default();
        for n in 0..MOST_CLASSES + 50 {
            runs.count(&format!("C{n}"), Ending::Done, Duration::from_millis(3));
        }
        runs.count("C0", Ending::Died, Duration::from_millis(3));
        runs.count("C0", Ending::Later, Duration::from_millis(3));
        let all = runs.classes();
        assert_eq!(all.len(), MOST_CLASSES + 1);
        let of = |name: &str| all.iter().find(|it| it.name == name).expect("there").clone();
        assert_eq!((of(OTHER).done, of(OTHER).took.count()), (50, 50));
        assert_eq!((of("C0").done, of("C0").dead, of("C0").took.count()), (1, 1, 2));
    }
}
