//! `[maintenance]`.

use std::path::PathBuf;

use bytes::Bytes;

use super::reader::Reader;
use super::reference::MAINTENANCE;
use super::rooms::{readable, time};
use crate::config::maintenance::Maintenance;

pub(super) fn read(reader: &mut Reader<'_>) -> Maintenance {
    let section = &reader.section(&MAINTENANCE);
    let defaults = Maintenance::default();
    let mut page = None;
    match section.given("page") {
        None => {
            reader.get::<Option<PathBuf>>(section, "page", None);
        }
        // Taken in at load: an hour of work on the machine is no time to open files.
        Some(given) => match readable(reader, given) {
            Ok((_, bytes)) => {
                reader.note_given(section, "page", given);
                page = Some(Bytes::from(bytes));
            }
            Err(wrong) => reader.refuse(section, "page", given, wrong),
        },
    }
    Maintenance {
        page,
        is_on: reader.get(section, "on", defaults.is_on),
        allow: reader.get(section, "allow", defaults.allow),
        serves_hits: reader.get(section, "serve_hits", defaults.serves_hits),
        retry_after: time(reader, section, "retry_after", defaults.retry_after),
    }
}
