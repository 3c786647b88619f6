//! The task that starts, changes and ends workers, as it is told.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::error::with_causes;
use forebay_jobs::store::Store;
use forebay_jobs::view::Collector;
use forebay_jobs::worker::Handle;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::task::JoinSet;

use super::super::config::Jobs;
use super::super::open;
use super::super::traced::Traced;
use super::{Order, Prepared, Shared, State};

/// Between two tries to open a store.
const PAUSE: Duration = Duration::from_secs(2);

/// What runs.
struct Running {
    handle: Handle,
    grace: Duration,
    /// Ends the collecting of its store's numbers.
    gone: Drain,
}

/// Until it is told to end.
pub(super) async fn tend(shared: &Arc<Shared>) {
    let (mut running, mut waits) = (None::<Running>, None::<Box<Prepared>>);
    let mut leaving = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.rung.notified() => {}
            () = ended(&mut running) => {
                // Left so until somebody reloads: to start it again would be against that wish.
                if let Some(over) = running.take() {
                    over.gone.begin();
                }
                shared.state().is_over = true;
                shared.journal.write("jobs", "the worker was told through its store to end");
            }
            () = clock::sleep(PAUSE), if waits.is_some() => {}
            Some(_) = leaving.join_next() => {}
        }
        match shared.told() {
            None => {}
            Some(Order::Run(prepared)) => waits = Some(prepared),
            Some(Order::Stop) => {
                waits = None;
                shared.journal.write("jobs", "jobs are not run here any more");
                let mut state = shared.state();
                *state = State::default();
                drop(state);
                leaving.spawn(stop(running.take()));
            }
            Some(Order::End) => {
                leaving.spawn(stop(running.take()));
                break;
            }
        }
        if let Some(prepared) = waits.take() {
            waits = begin(shared, prepared, &mut running, &mut leaving).await;
        }
    }
    while leaving.join_next().await.is_some() {}
}

/// Starts the new worker, then ends the old one; between the two nobody takes a job under old settings. What
/// cannot be started yet is handed back.
async fn begin(
    shared: &Shared,
    prepared: Box<Prepared>,
    running: &mut Option<Running>,
    leaving: &mut JoinSet<()>,
) -> Option<Box<Prepared>> {
    let Prepared { jobs, runner, store } = *prepared;
    let opened = match store {
        Some(store) => Ok(store),
        None => opened(Arc::clone(&jobs)).await,
    };
    let store = match opened {
        Ok(store) => store,
        Err(why) => {
            let mut state = shared.state();
            if state.trouble.as_deref() != Some(&why) {
                tracing::warn!(store = %jobs.store, error = why, "the job store cannot be opened");
                shared.journal.write("jobs", format!("the store cannot be opened: {why}"));
                state.trouble = Some(why);
            }
            return Some(Box::new(Prepared { jobs, runner, store: None }));
        }
    };
    if let Some(old) = running {
        old.gone.begin();
        old.handle.quiet();
    }
    let mut worker = runner.worker(&jobs, Arc::clone(&store)).runs(Arc::clone(&shared.runs));
    if let Some(tracer) = &shared.tracer {
        worker = worker.middleware(Traced(Arc::clone(tracer)));
    }
    let handle = worker.start();
    let (collector, gone) = (Arc::new(Collector::new(Arc::clone(&store))), Drain::default());
    let (collecting, until) = (Arc::clone(&collector), gone.clone());
    leaving.spawn(async move { collecting.run(&until).await });
    let mut state = shared.state();
    (state.seen, state.store, state.trouble) = (Some(handle.seen()), Some(store), None);
    state.collector = Some(collector);
    state.is_over = false;
    drop(state);
    let queues: Vec<&str> = jobs.order.names().iter().map(|name| &**name).collect();
    let said = format!(
        "running jobs of {} from {}, {} at once",
        queues.join(", "),
        jobs.store,
        jobs.concurrency
    );
    shared.journal.write("jobs", said);
    let old = running.replace(Running { handle, grace: jobs.grace, gone });
    leaving.spawn(stop(old));
    None
}

/// A file may lie on a disk that hangs: it is opened aside.
async fn opened(jobs: Arc<Jobs>) -> Result<Arc<dyn Store>, String> {
    match tokio::task::spawn_blocking(move || open::store(&jobs)).await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(error) => Err(error.to_string()),
    }
}

async fn ended(running: &mut Option<Running>) {
    match running {
        Some(running) => running.handle.ended().await,
        None => std::future::pending().await,
    }
}

async fn stop(running: Option<Running>) {
    if let Some(Running { handle, grace, gone }) = running {
        gone.begin();
        handle.stop(grace).await;
    }
}
