//! What the engine itself costs: no-op jobs on the store in memory, which costs next to nothing.
//! `cargo run --release -p forebay-jobs --example noop_jobs [JOBS] [CONCURRENCY] [THREADS]`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use forebay_jobs::perform::Perform;
use forebay_jobs::push::{Client, PushError};
use forebay_jobs::retry::Failure;
use forebay_jobs::run::Run;
use forebay_jobs::store::memory::Memory;
use forebay_jobs::worker::Worker;
use forebay_signals::clock;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Noop(u64);

impl Perform for Noop {
    const CLASS: &'static str = "Noop";

    async fn perform(self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|it| it.parse().ok()).collect();
    let number = |at: usize, usual: u64| numbers.get(at).copied().unwrap_or(usual);
    let (jobs, concurrency, threads) = (number(0, 500_000), number(1, 25), number(2, 1));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::try_from(threads)?)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::spawn(measure(jobs, usize::try_from(concurrency)?)).await?.map_err(Into::into)
    })
}

async fn measure(jobs: u64, concurrency: usize) -> Result<(), PushError> {
    let store = Arc::new(Memory::default());
    let client = Client::builder(store.clone()).pressure(None).build();
    let all: Vec<Noop> = (0..jobs).map(Noop).collect();
    let began = clock::now();
    client.push_bulk(&all).await?;
    say("pushed in bulk", jobs, clock::now().saturating_duration_since(began));

    let began = clock::now();
    let worker = Worker::builder(store).register::<Noop>().concurrency(concurrency).start();
    while worker.view().processed < jobs {
        clock::sleep(Duration::from_millis(1)).await;
    }
    say("run", jobs, clock::now().saturating_duration_since(began));
    worker.stop(Duration::from_secs(5)).await;
    Ok(())
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "it is a measurement")]
fn say(what: &str, jobs: u64, took: Duration) {
    let (each, rate) = (took.as_nanos() / u128::from(jobs), jobs as f64 / took.as_secs_f64());
    println!("{jobs} jobs {what}: {rate:.0}/s, {each} ns each");
}
