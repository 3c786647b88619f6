//! `cargo xtask dist`: the binary as others get it, with its unit, man page, completions and package.
//!
//! In: the release binary, and the files of `packaging/`. Out: `dist/` in the folder of builds: `forebay`,
//! `forebay.service`, `forebay.1`, completions, `forebay_VERSION_ARCH.deb`, `SHA256SUMS`. The same commit makes the
//! same bytes wherever compiler and libraries are the same.

mod boot;
mod notices;
mod package;
mod prove;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, metadata, root};
use crate::steps::{self, Steps, output};
use crate::{Outcome, USAGE};
pub(crate) use boot::boot;
pub(crate) use prove::prove;

/// Files of the package that are not made.
const SOURCES: &str = "packaging";
/// What `forebay completions` knows, and the file that each shell looks for.
const SHELLS: [(&str, &str); 3] =
    [("bash", "forebay.bash"), ("zsh", "_forebay"), ("fish", "forebay.fish")];

/// A binary and what it says of itself, ready to be packed.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The folder that holds all of it.
    pub(crate) folder: PathBuf,
    pub(crate) version: String,
    /// Of the commit, for every file.
    pub(crate) seconds: String,
}

/// Makes all of it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let binary = match arguments {
        [] => None,
        [flag, path] if flag == "--binary" => Some(PathBuf::from(path)),
        [other, ..] => return Err(format!("unexpected argument `{other}`\n\n{USAGE}")),
    };
    let target = metadata()?.target;
    let folder = target.join("dist");
    let mut steps = Steps::begin("dist");
    if binary.is_none() {
        steps.step("binary", || {
            let build = ["build", "--release", "--quiet", "--locked", "--package", "forebay"];
            steps::run(&mut cargo(&build)).map(|()| String::new())
        });
    }
    let binary = binary.unwrap_or_else(|| target.join("release/forebay"));
    let mut ready = None;
    steps.step("files", || {
        let made = ready.insert(collect(&binary, &folder)?);
        let size = fs::metadata(made.folder.join("forebay")).map_err(|error| error.to_string())?;
        Ok(format!("{} MiB stripped", size.len() >> 20))
    });
    if let Some(ready) = &ready {
        steps.step("package", || {
            package::build(ready, &ready.version, "-Zxz").map(|deb| name_of(&deb))
        });
        steps.step("sums", || sums(&folder));
        steps.step("life of a package", || prove(&binary, &target.join("package-test")));
    }
    steps.end()?;
    steps::say(&format!("all of it is in {}", folder.display()));
    Ok(())
}

/// Puts the stripped binary, and what it and `packaging/` have to say of it, into `folder`.
pub(crate) fn collect(binary: &Path, folder: &Path) -> Result<Ready, String> {
    anew(folder)?;
    let stripped = folder.join("forebay");
    output(Command::new("strip").arg("-o").arg(&stripped).arg(binary))?;
    let says = |words: &[&str]| output(Command::new(&stripped).args(words));
    let version = says(&["version"])?;
    let version = version.split_whitespace().last().ok_or("`forebay version` says nothing")?;
    write(&folder.join("forebay.1"), &says(&["man"])?)?;
    for (shell, file) in SHELLS {
        write(&folder.join(file), &says(&["completions", shell])?)?;
    }
    let unit = "forebay.service";
    fs::copy(root().join(SOURCES).join(unit), folder.join(unit)).map_err(failed("copy", unit))?;
    write(&folder.join("THIRD-PARTY.txt"), &notices::all()?)?;
    Ok(Ready { folder: folder.to_owned(), version: version.to_owned(), seconds: commit_time()? })
}

/// An empty folder, whatever was there.
fn anew(folder: &Path) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed("empty", folder))?;
    }
    fs::create_dir_all(folder).map_err(failed("make", folder))
}

/// When the commit was made; outside of a clone, what the environment says.
fn commit_time() -> Result<String, String> {
    if let Ok(seconds) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(seconds);
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(root());
    let said = output(&mut git)
        .map_err(|error| format!("{error}\n\nhint: outside of a clone, set SOURCE_DATE_EPOCH"))?;
    Ok(said.trim().to_owned())
}

fn sums(folder: &Path) -> Result<String, String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map_err(failed("read", folder))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let said = output(Command::new("sha256sum").args(&names).current_dir(folder))?;
    write(&folder.join("SHA256SUMS"), &said)?;
    Ok(format!("{} files", names.len()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(failed("write", path))
}

/// Names what could not be done to which file.
fn failed(what: &'static str, path: impl AsRef<Path>) -> impl Fn(std::io::Error) -> String {
    move |error| format!("cannot {what} {}: {error}", path.as_ref().display())
}
