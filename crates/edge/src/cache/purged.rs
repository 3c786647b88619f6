//! Counters of purges.

use forebay_signals::counter::Counter;
use forebay_signals::prometheus::Page;

use super::store::Effect;

/// What was purged since the start.
#[derive(Debug, Default)]
pub struct Counts {
    gone: Pair,
    stale: Pair,
    /// Purges that somebody asked for who may not.
    pub refused: Counter,
}

#[derive(Debug, Default)]
struct Pair {
    purges: Counter,
    answers: Counter,
}

impl Counts {
    pub(super) fn count(&self, effect: Effect, answers: u64) {
        let pair = match effect {
            Effect::Gone => &self.gone,
            Effect::Stale => &self.stale,
        };
        pair.purges.increment();
        pair.answers.add(answers);
    }

    pub(super) fn write(&self, page: &mut Page) {
        let both = [("gone", &self.gone), ("stale", &self.stale)];
        page.family("forebay_edge_purges_total", "counter", "Purges by what they made of answers.");
        for (effect, pair) in both {
            page.sample("forebay_edge_purges_total", &[("effect", effect)], pair.purges.value());
        }
        page.family("forebay_edge_purged_answers_total", "counter", "Answers that purges took.");
        for (effect, pair) in both {
            let labels = [("effect", effect)];
            page.sample("forebay_edge_purged_answers_total", &labels, pair.answers.value());
        }
        page.family(
            "forebay_edge_purges_refused_total",
            "counter",
            "PURGE requests of those who may not.",
        );
        page.sample("forebay_edge_purges_refused_total", &[], self.refused.value());
    }
}
