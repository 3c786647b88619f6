//! `files` of a route: which folder.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::{Given, Reader, Section};
use super::reference::FILES;
use super::setting::{OrOff, Setting};
use crate::config::route::{Files, INDEX};

/// A folder, or a table with one.
pub(super) fn files<'t>(reader: &mut Reader<'t>, section: &Section<'t>, given: Given<'t>) -> Files {
    if given.value.get_ref().as_table().is_none() {
        reader.note_given(section, "files", given);
        return Files::below(folder(reader, section, "files", given));
    }
    let inner = &reader.inner(&FILES, given, &format!("{}.files", section.path));
    let folder = if let Some(given) = inner.given("folder") {
        reader.note_given(inner, "folder", given);
        folder(reader, inner, "folder", given)
    } else {
        let wrong = Wrong::new(format!("`{}` has no folder", inner.path));
        reader.refuse_section(section, wrong.hint("write `folder = \"public\"`"));
        PathBuf::new()
    };
    let index = OrOff(Some(INDEX.to_owned()));
    let index = reader.get_where(inner, "index", index, |OrOff(name)| match name {
        Some(name) => is_name(name),
        None => Ok(()),
    });
    let fallback = reader.get_where(inner, "fallback", None, |name: &Option<String>| match name {
        Some(name) => is_name(name),
        None => Ok(()),
    });
    let max_age = reader.get::<Option<Duration>>(inner, "max_age", None);
    Files { folder, index: index.0, fallback, max_age }
}

/// Prefixes and folders.
pub(super) fn sendfile<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
) -> Vec<(String, PathBuf)> {
    const KEY: &str = "sendfile";
    const HINT: &str = "write `{ \"/protected/\" = \"/srv/files\" }`";
    let Some((given, entries)) = reader.entries(section, KEY, HINT) else { return Vec::new() };
    let mut folders = Vec::new();
    for (prefix, at, entry) in entries {
        let is_prefix = prefix.starts_with('/') && prefix.ends_with('/');
        // It goes to the application in a field, between signs of its own.
        if !is_prefix || !prefix.bytes().all(|it| it.is_ascii_graphic() && !b"=,".contains(&it)) {
            let wrong = Wrong::new(format!("has a prefix that is none: `{prefix}`"));
            reader.refuse(section, KEY, given, wrong.hint(HINT).at(at));
            continue;
        }
        folders.push((prefix.to_owned(), folder(reader, section, KEY, entry)));
    }
    folders
}

fn folder<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
    given: Given<'t>,
) -> PathBuf {
    let read = PathBuf::read(given.value).map(|path| reader.path(given, &path));
    let found = read.and_then(|path| {
        if (reader.machine.is_folder)(&path) {
            return Ok(path);
        }
        Err(Wrong::new(format!("is no folder: `{}`", path.display()))
            .hint("check the path and that the user who runs forebay may enter it"))
    });
    found.unwrap_or_else(|wrong| {
        reader.refuse(section, key, given, wrong);
        PathBuf::new()
    })
}

fn is_name(name: &str) -> Result<(), Wrong> {
    if !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']) {
        return Ok(());
    }
    Err(Wrong::new(format!("is no name of a file: `{name}`"))
        .hint("write a name without a folder, such as `index.html`"))
}
