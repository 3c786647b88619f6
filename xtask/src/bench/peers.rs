//! The programs from Debian that a run needs: found, installed where we may, or named.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::output;
use super::options::Options;
use super::report::note;

/// Program, and the package that has it.
const PROGRAMS: [(&str, &str); 8] = [
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("nginx", "nginx"),
    ("varnishd", "varnish"),
    ("h2o", "h2o"),
    ("openssl", "openssl"),
    ("valgrind", "valgrind"),
    ("taskset", "util-linux"),
];
/// Where Debian's `invoke-rc.d` asks whether a package may start its service.
const START_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Brings every program that the selected cases call.
pub(super) fn bring(options: &Options) -> Result<(), String> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| is_needed(program, options) && find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    bring_packages(&missing)
}

/// Installs packages where we may, or names them.
pub(super) fn bring_packages(missing: &[&str]) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !is_root() || find("apt-get").is_none() {
        return Err(format!("the bench needs more programs\n\nhint: sudo {command}"));
    }
    note(&format!("installing {}", missing.join(", ")));
    install(missing)
}

/// The program's place: `PATH`, and where Debian keeps servers.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|place| place.is_file())
}

/// Names and versions of the servers and clients that are here.
pub(super) fn versions() -> String {
    let asked = [
        ("nginx", "-v"),
        ("varnishd", "-V"),
        ("h2o", "-v"),
        ("wrk", "-v"),
        ("h2load", "--version"),
    ];
    let said = asked.iter().filter_map(|(program, flag)| {
        let text = match Command::new(find(program)?).arg(flag).output() {
            Ok(output) => [output.stdout, output.stderr].concat(),
            Err(_) => return None,
        };
        let text = String::from_utf8_lossy(&text);
        // "nginx version: nginx/1.22.1", "varnishd (varnish-7.1.1 revision …", "wrk 4.1.0 [epoll]"
        let version = text.split([' ', '\n', ')', '/', '-']).find(|word| {
            word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
        })?;
        Some(format!("{program} {version}"))
    });
    said.collect::<Vec<_>>().join(", ")
}

fn is_needed(program: &str, options: &Options) -> bool {
    let has = |case: &str| options.selects(case);
    match program {
        "h2load" => has("h2-1k") || has("h2-100k"),
        "valgrind" => has("instructions") || has("configured"),
        "nginx" if super::files::is_selected(options) => true,
        "varnishd" | "h2o" | "nginx" => {
            options.subject.program() == program || super::rates::is_any_selected(options)
        }
        _ => true,
    }
}

/// Installs without starting any service: the peers run from our own folder, never as services.
fn install(packages: &[&str]) -> Result<(), String> {
    let policy = Path::new(START_POLICY);
    let is_ours = !policy.exists();
    if is_ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")
            .map_err(|error| format!("cannot write `{START_POLICY}`: {error}"))?;
        output("chmod", &["755", START_POLICY])?;
    }
    let outcome = output("apt-get", &["update", "-qq"]).and_then(|_| {
        let mut args = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq"];
        args.push("--no-install-recommends");
        args.extend_from_slice(packages);
        output("env", &args)
    });
    if is_ours {
        std::fs::remove_file(policy)
            .map_err(|error| format!("cannot remove `{START_POLICY}`: {error}"))?;
    }
    outcome.map(drop)
}

fn is_root() -> bool {
    output("id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}
