//! The instruments of `cargo xtask bench jobs`: a worker with the jobs of the benchmark, those who push,
//! and those who look at a store from outside.
//!
//! A program of its own, so that it is always built for release and can be killed. In: one verb and
//! `--name value` pairs; a store is `redis://…`, `unix://…` or the path of a file. Out: one line of
//! `name=value` pairs. It must never be used on a store that somebody needs.

#[path = "../../flags.rs"]
mod flags;
mod look;
mod push;
mod stores;
mod work;

use std::error::Error;
use std::process::ExitCode;

pub(crate) use flags::{Flags, say};

/// As in the binary that is released.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let flags = Flags::read(args)?;
    if verb == "fsync" {
        return look::fsync(&flags);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // As a task: what stands in `block_on` is woken in another way than what runs in an application.
    runtime.block_on(async move {
        tokio::spawn(async move {
            match verb.as_str() {
                "work" => work::run(&flags).await,
                "fill" => push::fill(&flags).await,
                "keep" => push::keep(&flags).await,
                "push" => push::rate(&flags).await,
                "stamp" => push::stamp(&flags).await,
                "pace" => look::pace(&flags).await,
                "revive" => push::revive(&flags).await,
                "counts" => look::counts(&flags).await,
                "metrics" => look::metrics(&flags).await,
                other => Err(format!("unknown verb `{other}`").into()),
            }
        })
        .await?
    })
}

#[expect(clippy::print_stderr, reason = "the only place that speaks to people")]
fn complain(error: &dyn Error) {
    eprintln!("bench-jobs: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  {cause}");
        source = cause.source();
    }
}
