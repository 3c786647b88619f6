//! The way into a folder, and never out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A file, for reading. A FIFO must not make us wait, a terminal not become ours.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// A folder, to go through.
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// While somebody moves folders about, the kernel may ask to be asked again.
const TRIES: usize = 4;

/// An open folder.
pub(super) struct Root {
    folder: OwnedFd,
}

/// Where a name leads.
#[derive(Debug)]
pub(super) enum Way {
    /// To a plain file.
    File(File),
    /// To a folder.
    Folder,
    /// To nothing, to something that is not served, or out.
    Nothing,
}

impl Root {
    /// Opens the folder. It may be a link: the operator put it there.
    pub(super) fn open(folder: &Path) -> io::Result<Root> {
        Ok(Root { folder: rustix::fs::open(folder, THROUGH, Mode::empty())? })
    }

    /// Follows `path`, which is relative and leads through plain names alone.
    pub(super) fn enter(&self, path: &Path) -> io::Result<Way> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match self.resolve(path) {
            Ok(file) => way(file.into()),
            Err(error) => not_entered(error, path),
        }
    }

    /// The kernel keeps every link within the folder, at the moment of opening: no check before or after
    /// it could, while somebody moves things. Where there is no `openat2`, no link is followed at all.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 1;
        loop {
            match rustix::fs::openat2(&self.folder, path, READ, Mode::empty(), within) {
                Err(Errno::AGAIN) if tries < TRIES => tries += 1,
                // Some sandboxes say that it is not permitted, where they mean that they do not know it.
                Err(Errno::NOSYS | Errno::PERM) => return self.step_by_step(path),
                resolved => return resolved,
            }
        }
    }

    pub(super) fn step_by_step(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut names = path.components().peekable();
        let mut here: Option<OwnedFd> = None;
        while let Some(component) = names.next() {
            let name = match component {
                Component::Normal(name) => Path::new(name),
                Component::CurDir => Path::new("."),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(Errno::XDEV);
                }
            };
            let how = if names.peek().is_some() { THROUGH } else { READ } | OFlags::NOFOLLOW;
            let from = here.as_ref().unwrap_or(&self.folder);
            here = Some(rustix::fs::openat(from, name, how, Mode::empty())?);
        }
        here.ok_or(Errno::NOENT)
    }
}

fn way(file: File) -> io::Result<Way> {
    let kind = file.metadata()?.file_type();
    Ok(if kind.is_file() {
        Way::File(file)
    } else if kind.is_dir() {
        Way::Folder
    } else {
        Way::Nothing
    })
}

/// What is no fault of ours or of the machine is simply not there.
fn not_entered(error: Errno, path: &Path) -> io::Result<Way> {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::INVAL => {
            Ok(Way::Nothing)
        }
        Errno::XDEV | Errno::LOOP => {
            tracing::debug!(path = %path.display(), "a link that is not followed");
            Ok(Way::Nothing)
        }
        Errno::ACCESS | Errno::PERM => {
            tracing::warn!(path = %path.display(), "a file that may not be read is asked for");
            Ok(Way::Nothing)
        }
        other => Err(other.into()),
    }
}
