//! What can go wrong with the file, and what of it a caller is told.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::super::StoreError;

pub(super) type Done<T> = Result<T, Fault>;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("sqlite refuses")]
    Sql(#[from] rusqlite::Error),
    #[error("`{}` cannot be opened", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("`{}` cannot be written", .0.display())]
    Unwritable(PathBuf),
    #[error(
        "`{}` is of version {version}; this program knows versions up to {known}: use the newer program",
        path.display()
    )]
    Newer { path: PathBuf, version: i64, known: i64 },
    #[error(
        "`{}` belongs to another application: name a file of its own, or share this one on purpose",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("`{}` cannot keep a log: its journal is `{mode}`", path.display())]
    NoLog { path: PathBuf, mode: String },
    #[error("{wanted} pages would be filled and {bound} are allowed")]
    Bound { wanted: i64, bound: i64 },
    #[error("{0}")]
    Odd(&'static str),
    #[error("the disk did not take what was written: `{0}`")]
    Disk(String),
    #[error("its thread has ended")]
    Gone,
    #[error("no answer in time")]
    Late,
    #[error("the transaction is not on `{}` but on `{found}`", path.display())]
    Elsewhere { path: PathBuf, found: String },
}

impl Fault {
    /// True if somebody else holds a lock.
    pub(super) fn is_busy(&self) -> bool {
        let Fault::Sql(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> StoreError {
        let kind = match &fault {
            Fault::Sql(error) => of_sqlite(error),
            Fault::File { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    StoreError::ReadOnly
                }
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    StoreError::Full
                }
                _ => StoreError::Away,
            },
            Fault::Unwritable(_) => StoreError::ReadOnly,
            Fault::Bound { .. } => StoreError::Full,
            Fault::Newer { .. }
            | Fault::Foreign(_)
            | Fault::NoLog { .. }
            | Fault::Odd(_)
            | Fault::Elsewhere { .. } => StoreError::Broken,
            Fault::Disk(_) | Fault::Gone | Fault::Late => StoreError::Away,
        };
        kind(Arc::new(fault))
    }
}

fn of_sqlite(error: &rusqlite::Error) -> fn(super::super::Cause) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::TooBig) => StoreError::Full,
        Some(
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied,
        ) => StoreError::ReadOnly,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => StoreError::Away,
        // Corrupt, no database at all, or rows that are not what we wrote.
        _ => StoreError::Broken,
    }
}

/// A length as `SQLite` counts.
pub(super) fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A count that cannot be negative.
pub(super) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
