//! A job from its class to its end, on the store in memory: `cargo run -p forebay-jobs --example first_job`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use forebay_jobs::perform::Perform;
use forebay_jobs::push::Client;
use forebay_jobs::retry::Failure;
use forebay_jobs::run::Run;
use forebay_jobs::store::memory::Memory;
use forebay_jobs::worker::Worker;
use forebay_signals::clock;
use serde::{Deserialize, Serialize};

/// The value is what the job is called with.
#[derive(Serialize, Deserialize)]
struct Welcome {
    user: u64,
}

impl Perform for Welcome {
    const CLASS: &'static str = "Welcome";

    async fn perform(self, run: &Run) -> Result<(), Failure> {
        run.log(format_args!("welcome, user {}", self.user));
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // In place of this, a store that outlives its process.
    let store = Arc::new(Memory::default());

    let client = Client::new(store.clone());
    client.push(&Welcome { user: 7 }).await?;
    client.push(&Welcome { user: 8 }).delay(Duration::from_secs(1)).await?;

    let mut worker = Worker::builder(store).register::<Welcome>().concurrency(5).start();
    // Ten seconds, for the second one; a service waits for its signal to stop.
    drop(clock::timeout(Duration::from_secs(3), worker.ended()).await);
    let view = worker.view();
    worker.stop(Duration::from_secs(25)).await;
    assert_eq!((view.processed, view.failed), (2, 0));
    Ok(())
}
