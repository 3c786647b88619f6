//! The Rust files of the project, read once.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Folders with code of ours.
const FOLDERS: [&str; 5] = ["crates", "xtask", "tests", "benches", "fuzz"];
/// Folders within them without.
const SKIPPED: [&str; 4] = ["target", "node_modules", "artifacts", "corpus"];

/// Every `.rs` file below the folders of the project, sorted by path.
pub(super) fn rust_files(root: &Path) -> Result<Vec<Source>, String> {
    let mut files = Vec::new();
    let mut waiting: Vec<_> =
        FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()).collect();
    while let Some(folder) = waiting.pop() {
        let failed = |error| format!("cannot read `{}`: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if !SKIPPED.iter().any(|skipped| name == *skipped) {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).map_err(failed)?;
                let path = path.strip_prefix(root).unwrap_or(&path);
                files.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The text without `//` comments. A `//` in a string goes too: we read paths of modules, not values.
pub(super) fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}
