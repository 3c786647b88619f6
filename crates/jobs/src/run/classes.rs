//! Runs by class, counted until the store has heard of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Ending;
use crate::job::Job;
use crate::store::{Metrics, Ran};

/// Classes that are counted apart between two beats. Names are foreign: who invents them must not fill our memory.
const MOST: usize = 200;
/// What those beyond are counted as.
const OTHERS: &str = "(others)";

/// The counters of a worker.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    pub(crate) metrics: Metrics,
    ran: Mutex<HashMap<Box<str>, Ran>>,
}

impl Classes {
    /// Counts a run, as Sidekiq does: what is not over yet is not counted, and of a failure not its time.
    pub(crate) fn count(&self, job: &Job, ending: Ending, took: Duration) {
        if self.metrics == Metrics::Off {
            return;
        }
        match ending {
            Ending::Done => self.with(job.shown_class(), |ran| ran.succeeded(took)),
            Ending::Failed | Ending::Died => self.with(job.shown_class(), Ran::failed),
            Ending::Malformed | Ending::Expired | Ending::Cancelled | Ending::Later => {}
        }
    }

    /// What the store has not heard of yet.
    pub(crate) fn untold(&self) -> Vec<Ran> {
        self.all().values().cloned().collect()
    }

    /// The store has taken this. Not before: what a beat could not bring goes with the next.
    pub(crate) fn told(&self, told: &[Ran]) {
        let mut all = self.all();
        for ran in told {
            if all.get_mut(&*ran.class).is_some_and(|left| !left.subtract(ran)) {
                all.remove(&*ran.class);
            }
        }
    }

    fn with(&self, class: &str, count: impl FnOnce(&mut Ran)) {
        let mut all = self.all();
        if let Some(ran) = all.get_mut(class) {
            return count(ran);
        }
        let class = if all.len() < MOST { class } else { OTHERS };
        count(all.entry(class.into()).or_insert_with(|| Ran::of(class)));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Ran>> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(class: &str) -> Job {
        Job::parse(format!(r#"{{"class":"{class}","args":[],"jid":"1"}}"#).into()).unwrap()
    }

    #[test]
    fn what_was_not_told_is_told_the_next_time() {
        let classes = Classes::default();
        classes.count(&job("A"), Ending::Done, Duration::from_millis(7));
        let told = classes.untold();
        classes.count(&job("A"), Ending::Died, Duration::ZERO);
        classes.count(&job("A"), Ending::Later, Duration::ZERO);
        classes.told(&told);
        let left = classes.untold();
        assert_eq!((left.len(), left[0].processed, left[0].failed, left[0].ms), (1, 1, 1, 0));
        classes.told(&left);
        assert_eq!(classes.untold(), []);
    }

    #[test]
    fn invented_names_fill_nothing() {
        let classes = Classes::default();
        for n in 0..3 * MOST {
            classes.count(&job(&format!("C{n}")), Ending::Done, Duration::ZERO);
        }
        let all = classes.untold();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all.iter().map(|ran| ran.processed).sum::<u64>(), 3 * MOST as u64);
        assert!(all.iter().any(|ran| &*ran.class == OTHERS));
    }

    #[test]
    fn a_job_of_rails_is_counted_as_the_class_that_it_wraps() {
        let classes = Classes::default();
        let json =
            r#"{"class":"Sidekiq::ActiveJob::Wrapper","wrapped":"MailJob","args":[],"jid":"1"}"#;
        classes.count(&Job::parse(json.into()).unwrap(), Ending::Done, Duration::ZERO);
        assert_eq!(&*classes.untold()[0].class, "MailJob");
    }
}
