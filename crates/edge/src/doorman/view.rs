//! What screens and metrics read of those who say who may come in.

use std::sync::atomic::Ordering;

use forebay_signals::prometheus::Page;
use serde::{Deserialize, Serialize};

use super::{Doorman, Doormen};

/// One at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DoormanView {
    /// Name.
    pub name: String,
    /// False from a failure to the next ruling.
    pub is_well: bool,
    /// Requests to its origin.
    pub asked: u64,
    /// Requests that a remembered ruling did for.
    pub remembered: u64,
    /// Requests that waited for what another asked.
    pub joined: u64,
    /// Requests that were let in.
    pub let_in: u64,
    /// Requests that were turned away.
    pub turned_away: u64,
    /// Requests that it failed to say anything of.
    pub failed: u64,
}

impl Doormen {
    /// All of them at a glance.
    pub fn views(&self) -> Vec<DoormanView> {
        self.0.iter().map(|doorman| doorman.view()).collect()
    }

    /// Their counters.
    pub fn write(&self, page: &mut Page) {
        const REQUESTS: &str = "forebay_edge_forward_auth_requests_total";
        const ASKED: &str = "forebay_edge_forward_auth_asked_total";
        page.family(REQUESTS, "counter", "Requests by what forward_auth said of them.");
        for one in self.views() {
            let name = one.name.as_str();
            let counts =
                [("let-in", one.let_in), ("turned-away", one.turned_away), ("failed", one.failed)];
            for (ruling, count) in counts {
                page.sample(REQUESTS, &[("forward_auth", name), ("ruling", ruling)], count);
            }
        }
        page.family(ASKED, "counter", "Rulings by where they came from.");
        for one in self.views() {
            let name = one.name.as_str();
            let counts =
                [("origin", one.asked), ("memory", one.remembered), ("another", one.joined)];
            for (from, count) in counts {
                page.sample(ASKED, &[("forward_auth", name), ("from", from)], count);
            }
        }
    }
}

impl Doorman {
    fn view(&self) -> DoormanView {
        let running = &self.running;
        DoormanView {
            name: self.settings.name.clone(),
            is_well: !running.is_failing.load(Ordering::Relaxed),
            asked: running.asked.value(),
            remembered: running.remembered.value(),
            joined: running.joined.value(),
            let_in: running.let_in.value(),
            turned_away: running.turned_away.value(),
            failed: running.failed.value(),
        }
    }
}
