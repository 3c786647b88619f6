//! Cargo, and what it knows about the workspace.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::steps;

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The workspace's root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// What `cargo metadata` says about this machine's build.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// Every package, ours and others'.
    pub(crate) packages: Vec<Package>,
    /// Where builds go.
    pub(crate) target: PathBuf,
}

/// One package.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Belongs to the workspace.
    pub(crate) is_ours: bool,
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of its features.
    pub(crate) features: Vec<String>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// For tests alone.
    pub(crate) is_dev: bool,
}

/// Asks cargo, for this platform only: a crate for another system is not in our binary.
pub(crate) fn metadata() -> Result<Metadata, String> {
    let verbose = steps::output(Command::new("rustc").arg("-vV"))?;
    let host = verbose
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("`rustc -vV` names no host")?;
    let text =
        steps::output(&mut cargo(&["metadata", "--format-version=1", "--filter-platform", host]))?;
    parse(&text).ok_or_else(|| "`cargo metadata` printed something else than expected".to_owned())
}

fn parse(text: &str) -> Option<Metadata> {
    let json: Value = serde_json::from_str(text).ok()?;
    let ours: Vec<&str> =
        json.get("workspace_members")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let packages = json.get("packages")?.as_array()?;
    Some(Metadata {
        packages: packages
            .iter()
            .map(|package| parse_package(package, &ours))
            .collect::<Option<_>>()?,
        target: json.get("target_directory")?.as_str()?.into(),
    })
}

fn parse_package(json: &Value, ours: &[&str]) -> Option<Package> {
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let dependency = |json: &Value| {
        Some(Dependency {
            name: json.get("name")?.as_str()?.to_owned(),
            is_dev: json.get("kind")?.as_str() == Some("dev"),
        })
    };
    Some(Package {
        name: text("name")?.to_owned(),
        is_ours: ours.contains(&text("id")?),
        dependencies: json.get("dependencies")?.as_array()?.iter().filter_map(dependency).collect(),
        features: json.get("features")?.as_object()?.keys().cloned().collect(),
    })
}
