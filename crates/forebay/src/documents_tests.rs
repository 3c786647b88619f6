//! What the documents name exists: settings, verbs and flags, labels, files and headings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind as Refused;
use forebay_edge::ErrorKind;
use forebay_edge::cache::rules::{Refusal, Rule};
use forebay_edge::config::file::reference::{SECTIONS, Section};

use crate::cli::Cli;

/// Words of `detail` that are no rule and no refusal.
const OTHER_DETAILS: [&str; 2] = ["only-if-cached", "not-shareable"];

struct Document {
    name: String,
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn documents() -> Vec<Document> {
    let mut waiting =
        vec![root().join("README.md"), root().join("ARCHITECTURE.md"), root().join("docs")];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of ours");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(&path).expect("text");
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            found.push(Document { name, path, text });
        }
    }
    assert!(found.len() > 15, "the documents are where this test looks for them");
    found
}

/// A piece of a document: a fenced block with its language, or a line outside of them.
enum Piece<'a> {
    Block(&'a str, Vec<&'a str>),
    Line(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language.trim(), Vec::new())),
            (Some(_), Some((language, lines))) => pieces.push(Piece::Block(language, lines)),
            (None, Some((language, mut lines))) => {
                lines.push(line);
                open = Some((language, lines));
            }
            (None, None) => pieces.push(Piece::Line(line)),
        }
    }
    assert!(open.is_none(), "a block is not closed");
    pieces
}

/// Code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn problems_of(find: impl Fn(&Document, &mut dyn FnMut(String))) {
    let mut problems = Vec::new();
    for document in documents() {
        find(&document, &mut |problem| problems.push(format!("{}: {problem}", document.name)));
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn section(name: &str) -> Option<&'static Section> {
    let mut all = SECTIONS.iter().chain(&crate::jobs::reference::SECTIONS);
    all.find(|section| section.name == name).copied()
}

fn has_key(section: &Section, key: &str) -> bool {
    section.keys.iter().any(|known| known.name == key)
}

#[test]
fn settings_that_documents_name_exist() {
    problems_of(|document, report| {
        for piece in pieces(&document.text) {
            match piece {
                Piece::Block("toml", lines) => {
                    let text = lines.join("\n");
                    match text.parse::<toml::Table>() {
                        Ok(table) => check_table(&table, report),
                        Err(error) => report(format!("this is not TOML: {error}\n{text}")),
                    }
                }
                Piece::Block(..) => {}
                Piece::Line(line) => spans(line).for_each(|span| check_span(span, report)),
            }
        }
    });
}

/// `section.key` in running text.
fn check_span(span: &str, report: &mut dyn FnMut(String)) {
    let span = span.split(" = ").next().unwrap_or(span);
    let Some((name, key)) = span.split_once('.') else { return };
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    // `cache.rs` and the like are files.
    if !is_word(name) || !is_word(key) || matches!(key, "rs" | "md" | "toml" | "log" | "mjs") {
        return;
    }
    let known: &[&str] = match name {
        "policy" => &["policy", "policy.query"],
        other => &[other],
    };
    let sections: Vec<_> = known.iter().filter_map(|name| section(name)).collect();
    if !sections.is_empty() && !sections.iter().any(|section| has_key(section, key)) {
        report(format!("`{span}` is no setting"));
    }
}

fn check_table(table: &toml::Table, report: &mut dyn FnMut(String)) {
    for (name, value) in table {
        if section(name).is_none() {
            report(format!("`[{name}]` is no section"));
        }
        let tables: Vec<&toml::Value> = match value {
            toml::Value::Table(named) if matches!(&**name, "forward_auth" | "policy" | "rate") => {
                named.values().collect()
            }
            toml::Value::Array(tables) => tables.iter().collect(),
            other => vec![other],
        };
        for table in tables {
            check_keys(name, table, report);
        }
    }
}

fn check_keys(name: &str, value: &toml::Value, report: &mut dyn FnMut(String)) {
    let (Some(known), Some(table)) = (section(name), value.as_table()) else { return };
    for (key, value) in table {
        if !has_key(known, key) {
            report(format!("`{key}` is no setting of `{}`", known.header));
        }
        let within = format!("{name}.{}", key.trim_end_matches('s'));
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            let name =
                if section(&within).is_some() { within.clone() } else { format!("{name}.{key}") };
            check_keys(&name, value, report);
        }
    }
}

#[test]
fn commands_that_documents_show_are_understood() {
    problems_of(|document, report| {
        for piece in pieces(&document.text) {
            match piece {
                Piece::Block("toml" | "rust" | "json", _) => {}
                // The generated reference is made from the declaration itself.
                Piece::Block(..) if document.name.ends_with("reference/cli.md") => {}
                Piece::Block(_, lines) => {
                    let whole = lines.join("\n").replace("\\\n", " ");
                    whole.lines().for_each(|line| check_command(line, report));
                }
                Piece::Line(line) => spans(line).for_each(|span| check_command(span, report)),
            }
        }
    });
}

fn check_command(line: &str, report: &mut dyn FnMut(String)) {
    let line = line.trim().trim_start_matches("$ ");
    let Some(rest) = line.strip_prefix("forebay ") else { return };
    // Prose of the terminal, such as `forebay 0.1.0 · serving`.
    if rest.starts_with(|first: char| !first.is_ascii_lowercase()) {
        return;
    }
    let command: String = rest.replace(['[', ']'], "");
    let words = words(command.split(" & ").next().unwrap_or_default());
    let words = std::iter::once("forebay".to_owned()).chain(words);
    if let Err(error) = Cli::command().try_get_matches_from(words) {
        let is_fine = matches!(
            error.kind(),
            Refused::MissingRequiredArgument
                | Refused::MissingSubcommand
                | Refused::DisplayHelp
                | Refused::DisplayHelpOnMissingArgumentOrSubcommand
        );
        if !is_fine {
            report(format!("`{line}`: {error}"));
        }
    }
}

/// As a shell splits them, quotes included.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in text.chars() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (end, Some(begin)) if end == begin => quote = None,
            (' ', None) => words.push(std::mem::take(&mut word)),
            (other, _) => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    let is_end = |word: &String| word.starts_with('#') || word == "|" || word == "…";
    let mut words: Vec<String> = words.into_iter().take_while(|word| !is_end(word)).collect();
    // Text that speaks of a flag does not always give it a value.
    if words.last().is_some_and(|last| last == "-H" || last == "--origin") {
        words.push("Name: value".into());
    }
    words
}

#[test]
fn labels_that_documents_name_exist() {
    let details: BTreeSet<&str> = Rule::ALL
        .into_iter()
        .map(Rule::label)
        .chain(Refusal::ALL.into_iter().map(Refusal::label))
        .chain(OTHER_DETAILS)
        .collect();
    problems_of(|document, report| {
        let mut is_table_of_errors = false;
        for line in document.text.lines() {
            is_table_of_errors = line.starts_with('|')
                && (is_table_of_errors || line.starts_with("| status | `Forebay-Error`"));
            if is_table_of_errors {
                check_errors(line, report);
            }
            for (_, rest) in
                line.match_indices("detail=").map(|(at, name)| line.split_at(at + name.len()))
            {
                let end =
                    rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
                let word = &rest[..end];
                if !word.is_empty() && !details.contains(word) {
                    report(format!("`detail={word}` is said by nobody"));
                }
            }
        }
    });
}

/// A row `| 502 | `origin-unreachable` | …`: each label exists and has that status.
fn check_errors(line: &str, report: &mut dyn FnMut(String)) {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let (Some(status), Some(labels)) = (cells.get(1), cells.get(2)) else { return };
    if status.parse::<u16>().is_err() {
        return;
    }
    for label in spans(labels) {
        let facts = ErrorKind::ALL.into_iter().map(ErrorKind::facts);
        if !facts.into_iter().any(|facts| facts.label == label && facts.status.as_str() == *status)
        {
            report(format!("`{label}` is no error with status {status}"));
        }
    }
}

#[test]
fn links_of_documents_lead_somewhere() {
    problems_of(|document, report| {
        let folder = document.path.parent().expect("a file lies in a folder");
        for piece in pieces(&document.text) {
            let Piece::Line(line) = piece else { continue };
            for (at, open) in line.match_indices("](") {
                let rest = &line[at + open.len()..];
                let target = &rest[..rest.find(')').unwrap_or(rest.len())];
                if target.contains("://") {
                    continue;
                }
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = if file.is_empty() { document.path.clone() } else { folder.join(file) };
                if !path.exists() {
                    report(format!("`{target}` leads nowhere"));
                } else if !heading.is_empty() && !has_heading(&path, heading) {
                    report(format!("`{target}` has no such heading"));
                }
            }
        }
    });
}

fn has_heading(path: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(path).expect("text");
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let kept: String =
            title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        kept == anchor
    })
}
