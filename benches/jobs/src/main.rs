//! The instruments of `cargo xtask bench jobs`: a worker with the jobs of the benchmark, those who push,
//! and those who look at a store from outside.
//!
//! A program of its own, so that it is always built for release and can be killed. In: one verb and
//! `--name value` pairs; a store is `redis://…`, `unix://…` or the path of a file. Out: one line of
//! `name=value` pairs. It must never be used on a store that somebody needs.

mod look;
mod push;
mod stores;
mod work;

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

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

/// `--name value` pairs.
pub(crate) struct Flags(HashMap<String, String>);

impl Flags {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
        let mut pairs = HashMap::new();
        while let Some(name) = args.next() {
            let name = name.strip_prefix("--").ok_or(format!("expected a flag, got `{name}`"))?;
            let value = args.next().ok_or(format!("`--{name}` needs a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Flags(pairs))
    }

    /// The value of a flag that must be there.
    pub(crate) fn value<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.0.get(name).ok_or(format!("`--{name}` is missing"))?;
        text.parse().map_err(|_| format!("`--{name}` cannot be `{text}`"))
    }

    /// The value of a flag, or `default`.
    pub(crate) fn value_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        if self.0.contains_key(name) { self.value(name) } else { Ok(default) }
    }
}

/// Prints a result: what the caller reads.
#[expect(clippy::print_stdout, reason = "the answer to the caller is data on stdout")]
pub(crate) fn say(line: &str) {
    println!("{line}");
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
