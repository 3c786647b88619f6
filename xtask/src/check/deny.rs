//! Dependencies: licences, and one version each of what must not be there twice.
//!
//! We read `deny.toml` and judge what cargo would build; where `cargo-deny` is installed it reads
//! the same file for licences and sources. Advisories need a database from the network, and a check
//! that depends on the network is not a check: `cargo deny check advisories` is for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{licence, verdict};
use crate::cargo::{cargo, root};
use crate::steps;

/// A crate of others that is built with ours.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Foreign {
    name: String,
    version: String,
    license: String,
}

/// The part of `deny.toml` that we read.
#[derive(Debug, Default)]
struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
    once: Vec<String>,
}

/// Every dependency within the rules.
pub(super) fn check() -> Result<String, String> {
    let text = fs::read_to_string(root().join("deny.toml")).map_err(|error| error.to_string())?;
    let rules = Rules::read(&text)?;
    let foreign = foreign()?;
    let (doubles, problems) = judge(&foreign, &rules);
    let doubles = if doubles.is_empty() { "none".into() } else { doubles.join(", ") };
    let remark = format!("{} crates; twice: {doubles}", foreign.len());
    let remark = verdict(&problems, remark)?;
    if steps::output(&mut cargo(&["deny", "--version"])).is_err() {
        return Ok(format!("{remark}; cargo-deny is not installed"));
    }
    let deny = ["deny", "--log-level", "error", "check", "licenses", "sources"];
    steps::run(&mut cargo(&deny)).map(|()| format!("{remark}; cargo-deny agrees"))
}

/// Asks `cargo tree`, which resolves features as a build does; `cargo metadata` also lists crates
/// that a feature names and nothing builds.
fn foreign() -> Result<BTreeSet<Foreign>, String> {
    let tree = ["tree", "--workspace", "--prefix=none", "--edges=normal,build,dev"];
    let text = steps::output(cargo(&tree).arg("--format={p}|{l}"))?;
    let ours = root();
    let foreign = text.lines().filter(|line| !line.is_empty()).filter_map(|line| {
        let (package, license) = line.split_once('|')?;
        let is_ours = package.contains(&*ours.to_string_lossy());
        let (name, rest) = package.split_once(" v")?;
        let version = rest.split(' ').next()?;
        // A package shown for the second time is marked.
        let license = license.trim_end_matches(" (*)");
        (!is_ours).then(|| Foreign {
            name: name.into(),
            version: version.into(),
            license: license.into(),
        })
    });
    Ok(foreign.collect())
}

impl Rules {
    fn read(text: &str) -> Result<Rules, String> {
        let table: toml::Table =
            text.parse().map_err(|error| format!("`deny.toml` does not parse: {error}"))?;
        let list = |section: &str, key: &str| {
            let list = table.get(section).and_then(|section| section.get(key));
            list.and_then(toml::Value::as_array).cloned().unwrap_or_default()
        };
        let name = |value: &toml::Value| value.as_str().map(str::to_owned);
        let mut rules = Rules {
            licences: list("licenses", "allow").iter().filter_map(name).collect(),
            ..Rules::default()
        };
        for ban in list("bans", "deny") {
            let Some(name) = ban.get("crate").and_then(name) else { continue };
            // cargo-deny's way to say "at most one version".
            let is_once = ban.get("deny-multiple-versions").and_then(toml::Value::as_bool);
            let kind = if is_once == Some(true) { &mut rules.once } else { &mut rules.banned };
            kind.push(name);
        }
        if rules.licences.is_empty() || rules.once.is_empty() {
            return Err("`deny.toml` lists no licences or no crates that may be there once".into());
        }
        Ok(rules)
    }
}

/// Crates that are there twice without harm, and problems.
fn judge(packages: &BTreeSet<Foreign>, rules: &Rules) -> (Vec<String>, Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut problems = Vec::new();
    for Foreign { name, version, license } in packages {
        versions.entry(name).or_default().insert(version);
        if rules.banned.contains(name) {
            problems.push(format!("`{name}` is banned (deny.toml)"));
        }
        if licence::is_met(license, &rules.licences) != Some(true) {
            problems.push(format!(
                "`{name}` {version} is under `{license}`, which deny.toml does not allow"
            ));
        }
    }
    let mut doubles = Vec::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if rules.once.iter().any(|once| once == name) {
            let list: Vec<&str> = versions.iter().copied().collect();
            problems.push(format!("`{name}` is there more than once: {}", list.join(", ")));
        } else {
            doubles.push((*name).to_owned());
        }
    }
    (doubles, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, license: &str) -> Foreign {
        Foreign { name: name.into(), version: version.into(), license: license.into() }
    }

    #[test]
    fn the_rules_of_this_house_are_read() {
        let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is readable");
        let rules = Rules::read(&text).expect("deny.toml has rules");
        assert!(rules.once.iter().any(|name| name == "tokio"));
        assert!(rules.banned.iter().any(|name| name == "openssl"));
        assert!(rules.licences.iter().any(|name| name == "MIT"));
    }

    #[test]
    fn two_versions_of_the_http_types_are_a_problem() {
        let rules = Rules {
            licences: vec!["MIT".into()],
            banned: vec!["openssl".into()],
            once: vec!["http".into()],
        };
        let packages = [
            package("http", "0.2.1", "MIT"),
            package("http", "1.0.0", "MIT"),
            package("syn", "1.0.0", "MIT"),
            package("syn", "2.0.0", "GPL-3.0-only"),
            package("openssl", "1.0.0", "MIT"),
        ];
        let (doubles, problems) = judge(&BTreeSet::from(packages), &rules);
        assert_eq!(doubles, ["syn"]);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
