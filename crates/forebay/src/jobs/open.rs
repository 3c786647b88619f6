//! Settings put to use: the store, and who runs jobs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::error::with_causes;
use forebay_jobs::deliver::exec::Commands;
use forebay_jobs::deliver::http::{Deliveries, Settings};
use forebay_jobs::deliver::trust;
use forebay_jobs::store::redis::RedisStore;
use forebay_jobs::store::sqlite::{Options, Sqlite};
use forebay_jobs::store::{Store, StoreError};
use forebay_jobs::time::Clock;
use forebay_jobs::worker::{Builder, Worker};
use forebay_redis::connect::Redis;
use forebay_signals::clock;

use super::config::{Jobs, Place};
use super::runners::Http;
use crate::report::Problem;

/// Longest wait of a check for an answer: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens the store. A file is opened now; a server is asked with the first call.
pub(crate) fn store(jobs: &Jobs) -> Result<Arc<dyn Store>, StoreError> {
    match &jobs.store {
        Place::File(path) => {
            let store = Sqlite::open(path, Options::default().retention(jobs.retention))?;
            Ok(Arc::new(store))
        }
        Place::Server(settings) => {
            let redis = Redis::new((**settings).clone());
            Ok(Arc::new(RedisStore::new(redis, Clock::wall(), jobs.retention)))
        }
    }
}

/// Says whether the store answers, without making a file.
pub(crate) async fn reach(jobs: &Jobs) -> Result<(), String> {
    if let Place::File(path) = &jobs.store
        && !path.exists()
    {
        let folder =
            path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_there = folder.is_dir();
        return if is_there { Ok(()) } else { Err(format!("no folder `{}`", folder.display())) };
    }
    let asked = async { store(jobs)?.now().await };
    match clock::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("nothing within {PATIENCE:?}")),
    }
}

/// Who runs jobs, made before anything changes: what cannot be is said here.
pub(crate) struct Runner {
    http: Option<Deliveries>,
}

impl Runner {
    /// As the settings say.
    pub(crate) fn new(jobs: &Jobs) -> Result<Runner, Problem> {
        Ok(Runner { http: jobs.http.as_ref().map(deliveries).transpose()? })
    }

    /// A worker that is set up, on a store.
    pub(crate) fn worker(self, jobs: &Jobs, store: Arc<dyn Store>) -> Builder {
        let commands = |command: &[_]| {
            let (command, deadline) = (command.to_vec(), jobs.deadline);
            Commands { command, deadline }
        };
        let mut worker = Worker::builder(store)
            .order(jobs.order.clone())
            .concurrency(jobs.concurrency)
            .deadline(jobs.deadline)
            .grace(jobs.grace)
            .form(jobs.form)
            .metrics(jobs.metrics)
            .tag("forebay");
        for (class, command) in &jobs.commands {
            worker = worker.handler(class, commands(command));
        }
        for listed in &jobs.timetables {
            worker = worker.timetable(listed.timetable.clone());
        }
        match self.http {
            Some(deliveries) => worker.otherwise(deliveries),
            None if !jobs.command.is_empty() => worker.otherwise(commands(&jobs.command)),
            None => worker,
        }
    }
}

fn deliveries(http: &Http) -> Result<Deliveries, Problem> {
    let tls = if http.url.scheme_str() == Some("https") {
        let trusted = trust(http.authorities.as_deref()).map_err(|error| {
            Problem::new(format!("cannot deliver jobs to `{}`", http.url))
                .because(error)
                .hint("name the authorities in `jobs.http.authorities`")
        });
        Some(trusted?)
    } else {
        None
    };
    let Http { url, secret, deadline, fields, .. } = http.clone();
    Deliveries::new(Settings { url, secret, deadline, fields, tls })
        .map_err(|error| Problem::new(error.to_string()))
}
