//! Jobs pushed within a transaction of the application.

use rusqlite::Transaction;

use super::super::{Push, Pushed, StoreError};
use super::fault::Fault;
use super::step::Step;
use super::{Sqlite, file, mark, push, whole};

/// Jobs that are pushed with the application's transaction, or not at all.
///
/// ```
/// use forebay_jobs::store::sqlite::{Options, Sqlite};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// # let store = Sqlite::open(&path, Options::default())?;
/// let mut conn = rusqlite::Connection::open(&path)?;
/// let transaction = conn.transaction()?;
/// let staged = store.push_within(&transaction, &[])?;
/// transaction.commit()?;
/// staged.wake();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "workers are told by `wake`, after the commit; else they see the jobs within a second"]
#[derive(Debug)]
pub struct Staged {
    store: Sqlite,
    pushed: Vec<Pushed>,
}

impl Staged {
    /// What became of each job, if the transaction is committed.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::{Options, Sqlite};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// # let store = Sqlite::open(&path, Options::default())?;
    /// # let mut conn = rusqlite::Connection::open(&path)?;
    /// let transaction = conn.transaction()?;
    /// assert!(store.push_within(&transaction, &[])?.pushed().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pushed(&self) -> &[Pushed] {
        &self.pushed
    }

    /// Wakes the workers: to be called when the transaction is committed. Without it they find the jobs within
    /// a second.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::{Options, Sqlite};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// # let store = Sqlite::open(&path, Options::default())?;
    /// # let mut conn = rusqlite::Connection::open(&path)?;
    /// let transaction = conn.transaction()?;
    /// let staged = store.push_within(&transaction, &[])?;
    /// transaction.commit()?;
    /// staged.wake();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wake(self) {
        self.store.0.bell.ring();
    }
}

impl Sqlite {
    /// Pushes jobs within a transaction of the application, on a connection of its own to the same file. They
    /// are there when it commits, together with whatever else it wrote, and are not if it does not.
    ///
    /// The transaction is the application's in every way: it blocks the thread, its durability is that of its
    /// connection (`PRAGMA synchronous`), and while it is open nobody else writes to the file. One that began
    /// by reading may find the file locked: begin it with `TransactionBehavior::Immediate`.
    ///
    /// ```
    /// use forebay_jobs::store::{Push, Store};
    /// use forebay_jobs::store::sqlite::{Options, Sqlite};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let mut conn = rusqlite::Connection::open(&path)?;
    /// conn.execute("CREATE TABLE user (name TEXT)", [])?;
    /// let store = Sqlite::open(&path, Options::default().shared())?;
    ///
    /// let payload = br#"{"class":"Welcome","args":["ada"],"jid":"73be174b8b6c448481692f0c"}"#;
    /// let job = Push { queue: "mail".into(), payload: payload.as_slice().into(), at: None, unique: None };
    /// let transaction = conn.transaction()?;
    /// transaction.execute("INSERT INTO user (name) VALUES ('ada')", [])?;
    /// let staged = store.push_within(&transaction, &[job])?;
    /// transaction.commit()?;
    /// staged.wake();
    ///
    /// assert_eq!(store.counts().await?.enqueued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The connection is to another file, or the file refuses. Nothing of this call was written then; the
    /// transaction may still be committed without the jobs, which is rarely what is wanted.
    pub fn push_within(
        &self,
        transaction: &Transaction<'_>,
        jobs: &[Push],
    ) -> Result<Staged, StoreError> {
        let found = transaction.path().unwrap_or("").to_owned();
        let is_ours = whole(found.as_ref()).is_ok_and(|it| it == self.0.path);
        if !is_ours {
            return Err(Fault::Elsewhere { path: self.0.path.clone(), found }.into());
        }
        let options = &self.0.options;
        let step = Step {
            conn: transaction,
            now: options.clock.now(),
            retention: options.retention,
            bound: file::bound_in_pages(transaction, options)?,
            wakes: false.into(),
        };
        let marks: Vec<_> = jobs.iter().map(|job| mark::of_payload(&job.payload)).collect();
        // Without a savepoint half of the jobs might be committed by one who does not look at the error.
        let run = |sql| transaction.execute_batch(sql).map_err(Fault::from);
        run("SAVEPOINT forebay_push")?;
        match push::push(&step, jobs, &marks) {
            Ok(pushed) => {
                run("RELEASE forebay_push")?;
                Ok(Staged { store: self.clone(), pushed })
            }
            Err(fault) => {
                if !transaction.is_autocommit() {
                    run("ROLLBACK TO forebay_push; RELEASE forebay_push")?;
                }
                Err(fault.into())
            }
        }
    }
}
