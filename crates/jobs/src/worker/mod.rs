//! A worker: what it runs, how much at once, from where. It puts the rooms together: `fetch` leases, `run` runs,
//! `timer` moves what is due, and the heart says that all of this is alive.

mod builder;
mod handle;
mod heart;
mod identity;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_signals::clock;
use serde_json::json;
use tokio::sync::watch;

pub use self::builder::{Builder, Worker};
pub use self::handle::{Handle, RunView, Seen, WorkerView};
pub(crate) use self::identity::fresh_owner;
use crate::fetch::{Board, Order, Phase};
use crate::run::Engine;
use crate::store::{Owner, StoreError};
use crate::time::{Form, Moment};

/// What the parts of a worker share.
struct Shared {
    engine: Arc<Engine>,
    board: Arc<Board>,
    owner: watch::Sender<Owner>,
    phase: watch::Sender<Phase>,
    order: Order,
    concurrency: usize,
    grace: Duration,
    beat_every: Duration,
    host: String,
    tag: String,
    started: Moment,
    /// Why the store does not answer, while it does not.
    trouble: Mutex<Option<StoreError>>,
}

impl Shared {
    fn trouble(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owner(&self) -> Owner {
        self.owner.borrow().clone()
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn quiet(&self) {
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::Runs;
            if is_new {
                *phase = Phase::IsQuiet;
                tracing::info!("the worker takes no more jobs");
            }
            is_new
        });
    }

    /// The sooner end counts.
    fn stop(&self, grace: Duration) {
        let until = clock::now() + grace;
        self.phase.send_if_modified(|phase| {
            let is_new = !matches!(*phase, Phase::Stops(before) if before <= until);
            if is_new {
                *phase = Phase::Stops(until);
            }
            is_new
        });
        self.engine.drain.begin();
    }

    /// What Sidekiq's screens show of a process.
    fn info(&self) -> String {
        let owner = self.owner();
        let names = self.order.names();
        let weights: serde_json::Map<String, serde_json::Value> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                let weight = self.order.weights().and_then(|it| it.get(n)).copied().unwrap_or(0);
                (name.to_string(), weight.into())
            })
            .collect();
        let started = self.started.to_json(Form::FloatSeconds);
        let started = serde_json::from_str::<serde_json::Value>(&started).unwrap_or_default();
        json!({
            "hostname": self.host,
            "started_at": started,
            "pid": std::process::id(),
            "tag": self.tag,
            "concurrency": self.concurrency,
            "queues": names.iter().map(|name| &**name).collect::<Vec<_>>(),
            "weights": [weights],
            "labels": [],
            "identity": owner.as_str(),
            "version": concat!("forebay ", env!("CARGO_PKG_VERSION")),
            "embedded": false,
        })
        .to_string()
    }
}
