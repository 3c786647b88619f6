//! Numbers of jobs, for whoever collects those of the edge: Prometheus, OTLP and statsd say the same.
//!
//! What the store holds is told by the one process that collects it; what a process ran, and how it stands, by each.

use std::time::Duration;

use forebay_jobs::view::{ClassView, QueueNumbers, Snapshot};
use forebay_jobs::worker::WorkerView;
use forebay_signals::prometheus::{Page, Value};

/// Queues that have samples of their own; names come from whoever pushes.
const MOST_QUEUES: usize = 200;
/// All queues beyond.
const OTHER: &str = "other";

/// The numbers of the store.
pub(super) fn write_store(page: &mut Page, seen: &Snapshot) {
    let queues = bounded(&seen.queues);
    let mut family = |name: &str, help: &str, of: &dyn Fn(&QueueNumbers) -> Value| {
        page.family(name, "gauge", help);
        for queue in &queues {
            page.sample(name, &[("queue", &queue.name)], of(queue));
        }
    };
    family("forebay_jobs_queue_depth", "Jobs that wait in a queue.", &|it| it.depth.into());
    family(
        "forebay_jobs_queue_latency_seconds",
        "For how long the job waits that waits longest in a queue.",
        &|it| it.latency.as_secs_f64().into(),
    );
    family("forebay_jobs_queue_paused", "1 if nothing is taken from a queue.", &|it| {
        u8::from(it.is_paused).into()
    });
    let waiting = "forebay_jobs_waiting";
    page.family(waiting, "gauge", "Jobs beside the queues: for their time, for a retry, dead.");
    let counts = seen.counts;
    for (set, count) in
        [("scheduled", counts.scheduled), ("retry", counts.retries), ("dead", counts.dead)]
    {
        page.sample(waiting, &[("set", set)], count);
    }
    let mut one = |name: &str, kind: &str, help: &str, value: Value| {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    };
    one("forebay_jobs_leased", "gauge", "Jobs that processes hold.", counts.leased.into());
    one("forebay_jobs_busy", "gauge", "Jobs that run, in all processes.", seen.busy.into());
    one("forebay_jobs_slots", "gauge", "Jobs that could run at once.", seen.slots.into());
    one("forebay_jobs_processes", "gauge", "Processes that beat.", counts.processes.into());
    let help = "Jobs that ran in any process since the store was made, failures with them.";
    one("forebay_jobs_processed_total", "counter", help, counts.processed.into());
    let help = "Those of them that failed.";
    one("forebay_jobs_failed_total", "counter", help, counts.failed.into());
    let help = "Bytes that the store uses.";
    one("forebay_jobs_store_used_bytes", "gauge", help, seen.room.used.into());
    if let Some(of) = seen.room.of {
        let help = "Bytes that the store may use.";
        one("forebay_jobs_store_limit_bytes", "gauge", help, of.into());
    }
    let help = "How long it took to ask the store for these numbers.";
    one("forebay_jobs_collected_seconds", "gauge", help, seen.took.as_secs_f64().into());
}

/// The worker of this process.
pub(super) fn write_worker(page: &mut Page, worker: Option<&WorkerView>, classes: &[ClassView]) {
    let runs = "forebay_jobs_runs_total";
    page.family(runs, "counter", "Runs of this process by class and by how they ended.");
    for class in classes {
        for (end, count) in [("done", class.done), ("failed", class.failed), ("dead", class.dead)] {
            page.sample(runs, &[("class", &class.name), ("end", end)], count);
        }
    }
    let took = "forebay_jobs_run_seconds";
    page.family(took, "histogram", "How long runs of this process took.");
    for class in classes {
        page.sample(took, &[("class", &class.name)], Value::Histogram(class.took.clone()));
    }
    let busy = "forebay_jobs_worker_busy";
    page.family(busy, "gauge", "Jobs that run in this process.");
    page.sample(busy, &[], worker.map_or(0, |it| it.runs.len()));
    let answers = "forebay_jobs_store_answers";
    page.family(answers, "gauge", "1 if the store answers the worker of this process.");
    page.sample(answers, &[], u8::from(worker.is_some_and(|it| it.trouble.is_none())));
}

/// The queues that are latest, and the others as one.
fn bounded(queues: &[QueueNumbers]) -> Vec<QueueNumbers> {
    let mut queues = queues.to_vec();
    if queues.len() <= MOST_QUEUES {
        return queues;
    }
    queues.sort_by_key(|queue| std::cmp::Reverse((queue.latency, queue.depth)));
    let rest = queues.split_off(MOST_QUEUES);
    let latency = rest.iter().map(|it| it.latency).max().unwrap_or(Duration::ZERO);
    let depth = rest.iter().map(|it| it.depth).sum();
    let is_paused = rest.iter().all(|it| it.is_paused);
    queues.retain(|queue| &*queue.name != OTHER);
    queues.push(QueueNumbers { name: OTHER.into(), depth, latency, is_paused });
    queues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_beyond_the_bound_are_one() {
        let queue = |n: u64| QueueNumbers {
            name: format!("q{n}").into(),
            depth: 2,
            latency: Duration::from_secs(n),
            is_paused: false,
        };
        let all: Vec<QueueNumbers> = (0..MOST_QUEUES as u64 + 30).map(queue).collect();
        let shown = bounded(&all);
        assert_eq!(shown.len(), MOST_QUEUES + 1);
        let other = shown.last().expect("there");
        assert_eq!((&*other.name, other.depth, other.latency.as_secs()), (OTHER, 60, 29));
        assert_eq!(bounded(&all[..3]), all[..3]);
    }
}
