//! The stage of one run: a folder that is removed at the end, and the programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use forebay_signals::clock;

use super::options::Options;
use crate::bench::load::{Answers, read};
use crate::bench::machine::describe;
use crate::bench::report::{load_before, note};
use crate::bench::stage::{build, built_folder, create};
use crate::bench::{machine, peers};
use crate::cargo::root;

/// How we are called in the tables.
pub(super) const OURS: &str = "forebay";

/// Program, and the package that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("ruby", "ruby"),
    ("sidekiq", "ruby-sidekiq"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
];

/// What every case stands on.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    /// On the disk of the build, so that a store in a file is one.
    pub(super) folder: PathBuf,
    instruments: PathBuf,
}

impl Stage<'_> {
    /// Brings and builds what the cases need.
    pub(super) fn set(options: &Options) -> Result<Stage<'_>, String> {
        let missing = PROGRAMS.iter().filter(|(program, _)| peers::find(program).is_none());
        let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
        peers::bring_packages(&missing)?;
        let built = built_folder()?;
        build("forebay-bench-jobs")?;
        let above = built.parent().unwrap_or(Path::new("target"));
        let folder = above.join(format!("bench-jobs-{}", std::process::id()));
        create(&folder)?;
        Ok(Stage { options, folder, instruments: built.join("bench-jobs") })
    }

    /// What the tables begin with.
    pub(super) fn heading(&self) -> String {
        let options = self.options;
        let look = if options.is_quick { " A quick look, not a result." } else { "" };
        let version = |program: &str, args: &[&str], before: &str| {
            let said = machine::output(program, args).unwrap_or_default();
            let rest = said.split_once(before).map_or("", |(_, rest)| rest);
            rest.split([' ', '\n']).next().unwrap_or_default().to_owned()
        };
        format!(
            "{}. Ruby {}, Sidekiq {}, Redis {}. Load of the machine before: {}. {} rounds of {} s, medians (least \
             to most).{look}",
            describe(),
            version("ruby", &["--version"], "ruby "),
            version("sidekiq", &["--version"], "Sidekiq "),
            version("redis-server", &["--version"], "v="),
            load_before(),
            options.rounds,
            options.seconds
        )
    }

    /// One of the instruments.
    pub(super) fn instrument(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.instruments);
        command.args(args);
        command
    }

    /// Runs an instrument and gives its `name=value` pairs.
    pub(super) fn measure(&self, args: &[&str]) -> Result<Answers, String> {
        read(&mut self.instrument(args)).map(|said| Answers::read(&said))
    }

    /// A script of Ruby's side.
    pub(super) fn ruby(script: &str) -> PathBuf {
        root().join("benches/jobs/ruby").join(script)
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Removes files of the folder whose names hold this.
    pub(super) fn forget_files(&self, part: &str) -> Result<(), String> {
        let of =
            |error: std::io::Error| format!("cannot clear `{}`: {error}", self.folder.display());
        for entry in std::fs::read_dir(&self.folder).map_err(of)? {
            let path = entry.map_err(of)?.path();
            let is_it = path.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
            match () {
                () if !is_it => {}
                () if path.is_dir() => std::fs::remove_dir_all(&path).map_err(of)?,
                () => std::fs::remove_file(&path).map_err(of)?,
            }
        }
        Ok(())
    }

    /// Whether a case is to be run; says so.
    pub(super) fn begins(&self, case: &str, what: &str) -> bool {
        let is_wanted = self.options.selects(case);
        if is_wanted {
            note(&format!("{case}: {what}"));
        }
        is_wanted
    }
}

/// Waits until something is so.
pub(super) fn until(
    what: &str,
    patience: Duration,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let began = clock::now();
    while !is_so()? {
        if clock::now() - began > patience {
            return Err(format!("{what}: not within {patience:?}"));
        }
        clock::block_for(Duration::from_millis(20));
    }
    Ok(())
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            note(&format!("cannot remove `{}`: {error}", self.folder.display()));
        }
    }
}
