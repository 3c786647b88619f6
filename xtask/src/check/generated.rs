//! The reference under version control is what the binary writes today.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::verdict;
use crate::cargo::{Metadata, root};
use crate::generate::{self, REFERENCE};

/// Writes the reference into a scratch folder and compares.
pub(super) fn check(metadata: &Metadata) -> Result<String, String> {
    let kept = read(&root().join(REFERENCE))?;
    if kept.is_empty() {
        return Ok(format!("{REFERENCE} is not there yet"));
    }
    let scratch = metadata.target.join("generated-reference");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|error| error.to_string())?;
    }
    fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;
    generate::into(&scratch)?;
    let problems = differences(&kept, &read(&scratch)?);
    verdict(&problems, format!("{} files unchanged", kept.len()))
}

fn differences(kept: &BTreeMap<String, String>, made: &BTreeMap<String, String>) -> Vec<String> {
    let hint = "run `cargo xtask generate`";
    let mut problems = Vec::new();
    for (name, text) in made {
        match kept.get(name) {
            None => problems.push(format!("{REFERENCE}/{name} is missing: {hint}")),
            Some(old) if old != text => {
                let same = old.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
                problems.push(format!("{REFERENCE}/{name} differs from line {}: {hint}", same + 1));
            }
            Some(_) => {}
        }
    }
    let left = kept.keys().filter(|name| !made.contains_key(*name));
    problems
        .extend(left.map(|name| format!("{REFERENCE}/{name} is no longer generated: remove it")));
    problems
}

fn read(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(BTreeMap::new()) };
    let mut files = BTreeMap::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        files.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_drift_is_named() {
        let files = |list: &[(&str, &str)]| {
            list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        let kept = files(&[("same", "a"), ("old", "a"), ("changed", "a\nb\n")]);
        let made = files(&[("same", "a"), ("new", "a"), ("changed", "a\nc\n")]);
        let problems = differences(&kept, &made);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("changed differs from line 2"), "{problems:?}");
        assert!(problems[1].contains("new is missing"), "{problems:?}");
        assert!(problems[2].contains("old is no longer generated"), "{problems:?}");
    }
}
