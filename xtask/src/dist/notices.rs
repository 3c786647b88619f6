//! The crates that are in the binary, with their licences and notices, as these ask for.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cargo::cargo;
use crate::steps::output;

/// A list of all, then the text of each.
pub(super) fn all() -> Result<String, String> {
    let inside = inside()?;
    let json = output(&mut cargo(&["metadata", "--format-version=1", "--locked"]))?;
    let json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let packages = json.get("packages").and_then(Value::as_array).ok_or("no packages")?;
    let mut crates: Vec<Crate> = packages.iter().filter_map(Crate::read).collect();
    crates.retain(|it| inside.contains(&format!("{} v{}", it.name, it.version)));
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut list = String::from("Crates in the program `forebay`, their licences and notices.\n\n");
    let mut texts = String::new();
    for it in &crates {
        let line = writeln!(list, "{} {}: {}", it.name, it.version, it.licence);
        line.map_err(|error| error.to_string())?;
        for (name, text) in it.files() {
            write!(texts, "\n==== {} {} {name} ====\n\n{}\n", it.name, it.version, text.trim_end())
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(format!("{list}{texts}"))
}

/// Names and versions of crates whose code is in the binary: no tools of the build, no tests.
fn inside() -> Result<BTreeSet<String>, String> {
    let tree = ["tree", "--package", "forebay", "--edges", "normal", "--prefix", "none"];
    let tree = output(cargo(&tree).args(["--locked", "--format", "{p}"]))?;
    let of_others = tree.lines().filter(|line| !line.contains('/'));
    let crates =
        of_others.map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)"));
    Ok(crates.map(str::to_owned).collect())
}

struct Crate {
    name: String,
    version: String,
    licence: String,
    folder: PathBuf,
}

impl Crate {
    fn read(json: &Value) -> Option<Crate> {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        Some(Crate {
            name: text("name")?.to_owned(),
            version: text("version")?.to_owned(),
            licence: text("license").unwrap_or("see its notice").to_owned(),
            folder: Path::new(text("manifest_path")?).parent()?.to_owned(),
        })
    }

    /// Name and text of what the crate says of its licences.
    fn files(&self) -> Vec<(String, String)> {
        let Ok(folder) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut files: Vec<(String, String)> = folder
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let upper = name.to_ascii_uppercase();
                let is_meant = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"]
                    .iter()
                    .any(|word| upper.starts_with(word));
                is_meant.then(|| fs::read_to_string(entry.path()).ok())?.map(|text| (name, text))
            })
            .collect();
        files.sort_unstable();
        files
    }
}
