//! `[purge]`.

use std::path::PathBuf;

use super::problem::Wrong;
use super::reader::Reader;
use super::reference::PURGE;
use super::rooms::readable;
use crate::config::purge::{MIN_TOKEN_BYTES, Purge, Token};

pub(super) fn read(reader: &mut Reader<'_>) -> Purge {
    let section = &reader.section(&PURGE);
    let allow = reader.get(section, "allow", Vec::new());
    let path: Option<PathBuf> = reader.get(section, "token_file", None);
    let (Some(_), Some(given)) = (path, section.given("token_file")) else {
        return Purge { allow, token: None };
    };
    let made = "such as `openssl rand -hex 32` makes";
    let token = match readable(reader, given) {
        Err(wrong) => Err(wrong.hint(format!("write a file that this user may read, {made}"))),
        Ok((path, text)) => Token::new(&text).ok_or_else(|| {
            Wrong::new(format!("holds no token: `{}`", path.display())).hint(format!(
                "write one line of at least {MIN_TOKEN_BYTES} visible characters, {made}"
            ))
        }),
    };
    match token {
        Ok(token) => Purge { allow, token: Some(token) },
        Err(wrong) => {
            reader.refuse(section, "token_file", given, wrong);
            Purge { allow, token: None }
        }
    }
}
