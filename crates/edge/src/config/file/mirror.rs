//! `mirror` of a route: copies of its requests for another origin.

use std::sync::Arc;

use http::Method;

use super::problem::{Wrong, suggest};
use super::reader::{Reader, Section};
use super::reference::MIRROR;
use super::rooms::{number, time};
use super::setting::{Setting, Size};
use super::splits::Percent;
use crate::config::mirror::{MAX_IN_FLIGHT, MOST_CONTENT_BYTES, Mirror, TIMEOUT};
use crate::config::origin::Origin;
use crate::config::route::{ALL_PARTS, Action};

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    action: &Action,
    origins: &[Arc<Origin>],
) -> Option<Mirror> {
    let Some(given) = section.given("mirror") else {
        reader.get::<Option<String>>(section, "mirror", None);
        return None;
    };
    reader.note_given(section, "mirror", given);
    let Action::Forward(own) = action else {
        let wrong = Wrong::new("has no effect on a route that asks no origin");
        reader.refuse(section, "mirror", given, wrong.hint("leave it out, or write `origin`"));
        return None;
    };
    let inner = &reader.inner(&MIRROR, given, &format!("{}.mirror", section.path));
    if !inner.is_written() {
        return None;
    }
    if inner.given("origin").is_none() {
        let wrong = Wrong::new(format!("`{}` has no origin", inner.path));
        reader.refuse_section(inner, wrong.hint("write `origin = \"next\"`, one of `[[origin]]`"));
        return None;
    }
    let names = || origins.iter().map(|origin| origin.name.as_str());
    let origin = reader.get_where(inner, "origin", String::new(), |origin: &String| {
        if origin == own {
            let wrong = Wrong::new(format!("names the route's own origin: `{origin}`"));
            return Err(wrong.hint("it would get these requests twice; name another"));
        }
        if names().any(|known| known == origin) {
            return Ok(());
        }
        Err(Wrong::new(format!("names no origin: `{origin}`")).hint(suggest(origin, names())))
    });
    let most = |size: &Size| {
        if size.0 <= MOST_CONTENT_BYTES {
            return Ok(());
        }
        Err(Wrong::new(format!(
            "is more than a copy may hold in memory: `{}`",
            size.show().trim_matches('"')
        ))
        .hint("write at most \"1MiB\""))
    };
    Some(Mirror {
        origin,
        share: reader.get(inner, "share", Percent(ALL_PARTS)).0,
        methods: reader.get(inner, "methods", vec![Method::GET, Method::HEAD, Method::OPTIONS]),
        max_content_bytes: reader.get_where(inner, "max_content", Size(0), most).0,
        max_in_flight: number(reader, inner, "max_in_flight", MAX_IN_FLIGHT),
        timeout: time(reader, inner, "timeout", TIMEOUT),
        is_personal: reader.get(inner, "personal", false),
    })
}
