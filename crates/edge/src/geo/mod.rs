//! Where clients are, by their address.
//!
//! In: databases in the format of `MaxMind`, and addresses. Out: a country for routes and keys, and the
//! fields `CloudFront-Viewer-*` for an origin whose answer is for one client alone. An address is looked
//! up only when somebody needs to know. Databases are read whole, checked whole and swapped whole. Never:
//! believing a client that says where it is, and showing the origin of a shared answer what the key does
//! not hold.

mod database;
mod fields;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;

use crate::config::geo::Geo as Settings;
use crate::exchange::{Country, OwnLines};
use database::Database;

pub use database::BadDatabase;
pub use fields::{ShownPlace, strip};

/// How often files are looked at: an updater comes once a week.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The databases of one config.
#[derive(Debug, Default)]
pub struct Geo {
    paths: Vec<PathBuf>,
    /// As they were read last.
    databases: ArcSwap<Vec<Arc<Database>>>,
}

impl Geo {
    /// Reads and checks all databases; what `before` has of the same files is taken from there.
    pub fn open(settings: &Settings, before: Option<&Geo>) -> Result<Geo, BadDatabase> {
        let known = before.map(|before| before.databases.load_full()).unwrap_or_default();
        let read = |path: &PathBuf| reread(path, &known);
        let databases = settings.databases.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Geo { paths: settings.databases.clone(), databases: ArcSwap::from_pointee(databases) })
    }

    /// One database for whoever brings his own bytes.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Geo, BadDatabase> {
        let database = Arc::new(Database::of_bytes(bytes)?);
        Ok(Geo { paths: vec![PathBuf::new()], databases: ArcSwap::from_pointee(vec![database]) })
    }

    /// True if there is nothing to look into.
    pub fn is_off(&self) -> bool {
        self.paths.is_empty()
    }

    /// The country of an address.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        if self.is_off() {
            return None;
        }
        let address = address.to_canonical();
        self.databases.load().iter().find_map(|database| database.country(address))
    }

    /// Adds what is known of an address as fields.
    pub fn tell(&self, address: IpAddr, own: &mut OwnLines) {
        if self.is_off() {
            return;
        }
        let address = address.to_canonical();
        let databases = self.databases.load();
        let place = databases.iter().find_map(|database| database.place(address));
        if let Some(place) = place {
            fields::push(&place, own);
        }
    }

    /// Looks whether files have changed and reads those that have: all of them, or nothing changes. Says
    /// whether anything did.
    pub fn refresh(&self) -> Result<bool, BadDatabase> {
        let known = self.databases.load_full();
        let read = self.paths.iter().map(|path| reread(path, &known));
        let next = read.collect::<Result<Vec<_>, _>>()?;
        let is_same = next.iter().zip(&*known).all(|(next, known)| Arc::ptr_eq(next, known));
        if !is_same {
            self.databases.store(Arc::new(next));
        }
        Ok(!is_same)
    }
}

fn reread(path: &Path, known: &[Arc<Database>]) -> Result<Arc<Database>, BadDatabase> {
    if let Some(same) = known.iter().find(|known| known.is_still(path)) {
        return Ok(Arc::clone(same));
    }
    Database::read(path).map(Arc::new)
}

/// Looks at the files of the databases in force until the drain begins, on a thread where reading may
/// take its time. What is refused is told once, and what was read before stays.
pub async fn tend(current: impl Fn() -> Arc<Geo>, journal: Arc<Journal>, drain: Drain) {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = clock::sleep(LOOK_EVERY) => {}
            () = drain.begun() => return,
        }
        let geo = current();
        if geo.is_off() {
            continue;
        }
        let looked = tokio::task::spawn_blocking(move || geo.refresh()).await;
        note(looked.ok(), &journal, &mut told);
    }
}

/// Writes into the journal what came of a look at the files.
pub fn note(looked: Option<Result<bool, BadDatabase>>, journal: &Journal, told: &mut String) {
    match looked {
        Some(Ok(true)) => {
            told.clear();
            journal.write("geo", "a database was replaced and is in force");
        }
        Some(Ok(false)) => told.clear(),
        Some(Err(bad)) => {
            let source = std::error::Error::source(&bad).map(ToString::to_string);
            let why = format!("{bad}: {}; the one before stays", source.unwrap_or_default());
            if *told != why {
                journal.write("geo", why.clone());
                *told = why;
            }
        }
        None => tracing::error!("the look at the databases broke off"),
    }
}
