//! The folder that keeps account, keys and certificates, for us alone: folders 0700, files 0600.
//!
//! Each directory of an authority has a folder of its own within, so that certificates of a test and real ones
//! never meet. What we write is whole or not there. What we did not write, or cannot read, is refused and kept:
//! it may be the only copy.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use forebay_signals::clock;
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use crate::config::acme::Acme;
use crate::config::listen::{Certificate, Secret};
use crate::listen::CertificateError;
use crate::listen::tls::Managed;

const ACCOUNT: &str = "account.json";
const LOCK: &str = "lock";

/// The part of the folder that belongs to one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    folder: PathBuf,
    directory: String,
}

/// Our account at an authority, with its key.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// The directory that it is of.
    directory: String,
    pub(super) credentials: AccountCredentials,
}

/// What is known of a certificate that could not be had, for the process that comes after this one: whoever
/// crashes and starts again must not ask an authority each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// Failures in a row.
    pub(super) failures: u32,
    /// The last of them.
    pub(super) why: String,
    /// Not before this.
    pub(super) next_attempt: SystemTime,
    /// Not before this even if an operator asks.
    pub(super) told_until: Option<SystemTime>,
    /// What was asked for, and how: with other settings it may go well at once.
    #[serde(default)]
    pub(super) asked: String,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadState {
    /// A file or folder that cannot be read or written.
    #[error("cannot use `{path}`")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the account that is not ours.
    #[error("`{path}` holds no account of ours")]
    NoAccount {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// An account that another authority gave us.
    #[error("the account in `{path}` is of another directory: `{of}`")]
    OtherAccount {
        /// Which.
        path: PathBuf,
        /// Of whom it is.
        of: String,
    },
    /// A certificate that cannot be used.
    #[error("`{path}` holds no certificate that can be used")]
    NoCertificate {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<CertificateError>,
    },
    /// An authority that gave us something else, or has another time than we.
    #[error("what the authority sent is no certificate for `{names}` that is good now")]
    NotAsked {
        /// What was asked for.
        names: String,
    },
    /// A certificate that is for something else.
    #[error("the certificate in `{path}` is not for `{name}`")]
    OtherCertificate {
        /// Which.
        path: PathBuf,
        /// What it should be for.
        name: String,
    },
}

impl BadState {
    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        match self {
            BadState::Unusable { path, .. } => {
                format!(
                    "this user must be able to read and write there: `ls -ld {}`",
                    path.display()
                )
            }
            BadState::NotAsked { .. } => "compare the clock with that of others: `date`".to_owned(),
            BadState::NoAccount { path, .. } | BadState::OtherAccount { path, .. } => format!(
                "put the right file back, or move it away (`mv {0} {0}.old`): then a new account is made",
                path.display()
            ),
            BadState::NoCertificate { path, .. } | BadState::OtherCertificate { path, .. } => {
                format!(
                    "put the right file back, or move it away (`mv {0} {0}.old`): then a new certificate is ordered",
                    path.display()
                )
            }
        }
    }
}

impl State {
    pub(super) fn of(settings: &Acme) -> State {
        let name = folder_name(&settings.directory);
        State { folder: settings.folder.join(name), directory: settings.directory.clone() }
    }

    /// The certificates that are there, in the order of the settings.
    pub(super) fn certificates(&self, settings: &Acme) -> Result<Vec<Option<Managed>>, BadState> {
        settings.certificates.iter().map(|names| self.certificate(names)).collect()
    }

    fn certificate(&self, names: &[String]) -> Result<Option<Managed>, BadState> {
        let Some(name) = names.first() else { return Ok(None) };
        let path = self.certificate_path(name);
        if read(&path)?.is_none() {
            return Ok(None);
        }
        let files = Certificate::Files { chain: path.clone(), key: path.clone() };
        let loaded = Managed::load(&files, name).map_err(|error| BadState::NoCertificate {
            path: path.clone(),
            source: error.into(),
        })?;
        if !loaded.covers(std::slice::from_ref(name)) {
            return Err(BadState::OtherCertificate { path, name: name.clone() });
        }
        Ok(Some(loaded))
    }

    /// The account, if there is one.
    pub(super) fn account(&self) -> Result<Option<Account>, BadState> {
        let path = self.folder.join(ACCOUNT);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let account: Account = serde_json::from_slice(&bytes)
            .map_err(|source| BadState::NoAccount { path: path.clone(), source })?;
        if account.directory != self.directory {
            return Err(BadState::OtherAccount { path, of: account.directory });
        }
        Ok(Some(account))
    }

    /// The certificates that are there, if nothing is wrong with the folder.
    pub(super) fn check(&self, settings: &Acme) -> Result<Vec<Managed>, BadState> {
        self.account()?;
        Ok(self.certificates(settings)?.into_iter().flatten().collect())
    }

    /// Makes the folders that are missing.
    pub(super) fn make(&self) -> Result<(), BadState> {
        let unusable = |source| BadState::Unusable { path: self.folder.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(unusable)?;
        // It was there already, and others could look into it.
        only_ours(&self.folder, 0o700).map_err(unusable)
    }

    /// Takes the folder for this process, until the file is dropped; `None` while another one has it.
    pub(super) fn lock(&self) -> Result<Option<File>, BadState> {
        let path = self.folder.join(LOCK);
        let unusable = |source| BadState::Unusable { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    pub(super) fn save_account(
        &self,
        credentials: AccountCredentials,
    ) -> Result<Account, BadState> {
        let account = Account { directory: self.directory.clone(), credentials };
        let path = self.folder.join(ACCOUNT);
        let text = serde_json::to_vec_pretty(&account)
            .map_err(|source| BadState::NoAccount { path: path.clone(), source })?;
        write(&path, &text)?;
        Ok(account)
    }

    /// Keeps a new certificate, if it is what was asked for. Key and chain are one file: they belong together
    /// at any moment.
    pub(super) fn keep(&self, names: &[String], pem: &str) -> Result<Managed, BadState> {
        let name = names.first().cloned().unwrap_or_default();
        let path = self.certificate_path(&name);
        let got = Certificate::Pem { chain: pem.to_owned(), key: Secret(pem.to_owned()) };
        let got = Managed::load(&got, &name).map_err(|error| BadState::NoCertificate {
            path: path.clone(),
            source: error.into(),
        })?;
        let is_past = got.lifetime().is_none_or(|(_, ends)| ends <= clock::wall());
        if !got.covers(names) || is_past {
            return Err(BadState::NotAsked { names: names.join(" ") });
        }
        write(&path, pem.as_bytes())?;
        Ok(got)
    }

    /// What is known of failures of a certificate. A file that says nothing is no reason to wait.
    pub(super) fn pause(&self, name: &str) -> Result<Option<Pause>, BadState> {
        let bytes = read(&self.pause_path(name))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps that, or forgets it.
    pub(super) fn keep_pause(&self, name: &str, pause: Option<&Pause>) -> Result<(), BadState> {
        let path = self.pause_path(name);
        let Some(text) = pause.and_then(|pause| serde_json::to_vec_pretty(pause).ok()) else {
            return match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(BadState::Unusable { path, source })
                }
                _ => Ok(()),
            };
        };
        write(&path, &text)
    }

    fn certificate_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn pause_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pause"))
    }
}

/// `https://ca.example/acme/dir` is `ca.example-acme-dir`.
fn folder_name(directory: &str) -> String {
    let rest = directory.strip_prefix("https://").unwrap_or(directory);
    let fine =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = rest.trim_end_matches('/').chars().map(fine).collect();
    name.trim_start_matches('.').to_owned()
}

/// A file's bytes, or `None` if it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BadState> {
    let unusable = |source| BadState::Unusable { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            only_ours(path, 0o600).map_err(unusable)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(error)),
    }
}

/// Takes others' rights away, and says so: somebody may have read a key.
fn only_ours(path: &Path, mode: u32) -> io::Result<()> {
    let found = fs::metadata(path)?.permissions().mode() & 0o777;
    if found & !0o700 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let (was, is) = (format!("{found:o}"), format!("{mode:o}"));
    tracing::warn!(path = %path.display(), was, is, "others could read keys");
    Ok(())
}

/// Writes a file whole: after a crash it holds what it held, or all of this.
fn write(path: &Path, bytes: &[u8]) -> Result<(), BadState> {
    let write = || {
        let new = path.with_extension("new");
        // What a crash left; made anew, so that its rights are ours.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|source| BadState::Unusable { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
