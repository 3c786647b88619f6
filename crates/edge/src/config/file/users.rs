//! `basic_auth` of a route.

use std::path::PathBuf;
use std::sync::Arc;

use super::problem::Wrong;
use super::reader::{Given, Reader, Section};
use super::reference::BASIC_AUTH;
use super::rooms::readable;
use crate::config::users::{BasicAuth, REALM, Users};

pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Option<Arc<BasicAuth>> {
    let Some(given) = section.given("basic_auth") else {
        reader.get::<Option<PathBuf>>(section, "basic_auth", None);
        return None;
    };
    reader.note_given(section, "basic_auth", given);
    let inner = &reader.inner(&BASIC_AUTH, given, &format!("{}.basic_auth", section.path));
    let Some(file) = inner.given("users") else {
        let wrong = Wrong::new(format!("`{}` has no users", inner.path))
            .hint("write `users = \"shop.htpasswd\"`, a file that `htpasswd -B` makes");
        reader.refuse_section(inner, wrong);
        return None;
    };
    let realm = reader.get_where(inner, "realm", REALM.to_owned(), |realm: &String| {
        let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if realm.bytes().all(is_plain) {
            return Ok(());
        }
        Err(Wrong::new(format!("is no realm: `{realm}`")).hint("write plain ASCII without quotes"))
    });
    let forwards = reader.get(inner, "forward", false);
    match users(reader, file) {
        Ok(users) => {
            reader.note_given(inner, "users", file);
            Some(Arc::new(BasicAuth { users, realm, forwards }))
        }
        Err(wrong) => {
            reader.refuse(inner, "users", file, wrong);
            None
        }
    }
}

fn users(reader: &Reader<'_>, file: Given<'_>) -> Result<Users, Wrong> {
    const HINT: &str =
        "add users with `htpasswd -B FILE NAME`; other hashes are too quick to guess";
    let (path, bytes) = readable(reader, file)?;
    let wrong = |why: String| Wrong::new(format!("{why}: `{}`", path.display())).hint(HINT);
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".into()))?;
    Users::parse(&text).map_err(|(line, why)| match line {
        0 => wrong(why.to_owned()),
        _ => wrong(format!("{why} in line {line}")),
    })
}
