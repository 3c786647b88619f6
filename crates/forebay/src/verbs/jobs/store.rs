//! The store that is named by a flag, the environment or the config file.

use std::sync::Arc;

use forebay_jobs::push::Client;
use forebay_jobs::store::Store;

use super::args::Where;
use super::refused;
use crate::jobs::config::Place;
use crate::jobs::{Jobs, open};
use crate::report::Problem;
use crate::settings;

/// What is said of jobs.
pub(super) fn settings(at: &Where) -> Result<Jobs, Problem> {
    let read = settings::jobs(at.store.as_deref(), at.config.as_deref());
    read.map_err(|trouble| Problem::complete(&trouble))
}

/// Opens the store.
pub(super) async fn open(at: &Where) -> Result<Arc<dyn Store>, Problem> {
    open_of(&settings(at)?).await
}

/// Whoever pushes, and writes times as the settings say.
pub(super) async fn client(at: &Where) -> Result<Client, Problem> {
    let jobs = settings(at)?;
    Ok(Client::builder(open_of(&jobs).await?).form(jobs.form).build())
}

/// Opens it. A server is asked for its time: one that is not there is said now and not with the first job.
pub(super) async fn open_of(jobs: &Jobs) -> Result<Arc<dyn Store>, Problem> {
    let store = open::store(jobs).map_err(refused)?;
    if matches!(jobs.store, Place::Server(_)) {
        store.now().await.map_err(refused)?;
    }
    Ok(store)
}
