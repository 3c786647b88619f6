//! `[forward_auth.NAME]`: who may come in, as another application says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderName, Uri, header};
use toml::Spanned;
use toml::de::DeValue;

use super::origins::is_name;
use super::problem::{Wrong, suggest};
use super::reader::{Reader, Section};
use super::reference::FORWARD_AUTH;
use super::rooms::{readable, time};
use super::setting::{OrOff, Setting, text, word};
use crate::config::forward_auth::{
    ForwardAuth, Keys, MAX_TTL, OnFailure, SHOW_FIELDS, Shown, TIMEOUT,
};
use crate::config::origin::Origin;
use crate::config::route::Route;
use crate::exchange::VIEWER;

/// All of them by name.
pub(super) type ForwardAuths = BTreeMap<String, Arc<ForwardAuth>>;

pub(super) fn read(reader: &mut Reader<'_>, origins: &[Arc<Origin>]) -> ForwardAuths {
    let mut all = ForwardAuths::new();
    for (name, section) in &reader.named(&FORWARD_AUTH) {
        if !is_name(name) {
            let wrong = Wrong::new(format!("is not a proper name: `{name}`")).hint(
                "it stands in the journal and in metrics; write letters, digits, `-`, `_` and `.`",
            );
            reader.refuse_section(section, wrong);
            continue;
        }
        let one = one(reader, section, name, origins);
        all.insert((*name).to_owned(), Arc::new(one));
    }
    check_taken(reader, &all);
    all
}

fn one<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    name: &str,
    origins: &[Arc<Origin>],
) -> ForwardAuth {
    let names = || origins.iter().map(|origin| origin.name.as_str());
    for (key, example) in [("origin", "auth"), ("path", "/api/authz/forward-auth")] {
        if section.given(key).is_none() {
            let wrong =
                Wrong::new(format!("`{}` does not say whom to ask: no `{key}`", section.path));
            reader.refuse_section(section, wrong.hint(format!("write `{key} = \"{example}\"`")));
        }
    }
    let origin = reader.get_where(section, "origin", String::new(), |origin: &String| {
        if names().any(|known| known == origin) {
            return Ok(());
        }
        Err(Wrong::new(format!("names no origin: `{origin}`")).hint(suggest(origin, names())))
    });
    ForwardAuth {
        name: name.to_owned(),
        origin,
        path: reader.get(section, "path", Target(Uri::from_static("/"))).0,
        show: reader.get(section, "show", vec![Shown::Method, Shown::Target, Shown::Address]),
        show_fields: reader.get(section, "show_fields", SHOW_FIELDS.to_vec()),
        show_cookies: reader.get(section, "show_cookies", None),
        take: reader
            .get_where(section, "take", Vec::new(), |names: &Vec<HeaderName>| may_take(names)),
        keys: keys(reader, section),
        timeout: time(reader, section, "timeout", TIMEOUT),
        max_ttl: reader
            .get(section, "max_ttl", OrOff(Some(MAX_TTL)))
            .0
            .filter(|ttl| !ttl.is_zero()),
        on_failure: reader.get(section, "on_failure", OnFailure::Refuse),
    }
}

/// Fields that say more than whose request it is, or that the edge writes itself: nobody could send them any
/// more, since what is taken from an answer is believed from nobody else.
fn may_take(names: &[HeaderName]) -> Result<(), Wrong> {
    const PREFIXES: [&str; 6] = ["accept", "content-", "if-", "sec-", "x-forwarded-", VIEWER];
    const NAMES: [HeaderName; 16] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::COOKIE,
        header::FORWARDED,
        header::HOST,
        header::ORIGIN,
        header::RANGE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::USER_AGENT,
        header::VIA,
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("x-request-id"),
    ];
    let is_other = |name: &HeaderName| {
        PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) || NAMES.contains(name)
    };
    match names.iter().find(|name| is_other(name)) {
        Some(name) => Err(Wrong::new(format!("names a field that clients or the edge need: `{name}`"))
            .hint("take fields of a name of their own, such as `x-user`: clients' own fields of these names are dropped")),
        None => Ok(()),
    }
}

/// What is taken from one answer is believed from nobody, and so nobody can be asked by it.
fn check_taken(reader: &mut Reader<'_>, all: &ForwardAuths) {
    for (name, section) in &reader.named(&FORWARD_AUTH) {
        let (Some(one), Some(given)) = (all.get(*name), section.given("show_fields")) else {
            continue;
        };
        let taken = |shown: &&HeaderName| all.values().any(|other| other.take.contains(shown));
        if let Some(shown) = one.show_fields.iter().find(taken) {
            let wrong = Wrong::new(format!(
                "shows a field that `take` drops from every request: `{shown}`"
            ));
            reader.refuse(
                section,
                "show_fields",
                given,
                wrong.hint("use another name in one of them"),
            );
        }
    }
}

fn keys<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Option<Keys> {
    const HINT: &str = "write `id:secret` a line; `openssl rand -hex 32` makes a secret";
    let path: Option<PathBuf> = reader.get(section, "key_file", None);
    let (Some(_), Some(given)) = (path, section.given("key_file")) else { return None };
    let keys = readable(reader, given).and_then(|(path, bytes)| {
        let wrong = |why: String| Wrong::new(format!("{why}: `{}`", path.display())).hint(HINT);
        let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".into()))?;
        Keys::parse(&text).map_err(|(line, why)| match line {
            0 => wrong(why.to_owned()),
            _ => wrong(format!("{why} in line {line}")),
        })
    });
    keys.map_err(|wrong| reader.refuse(section, "key_file", given, wrong)).ok()
}

/// One that no route names guards nothing, and nobody would see that.
pub(super) fn check_used(reader: &mut Reader<'_>, all: &ForwardAuths, routes: &[Route]) {
    if !reader.is_clean() {
        return;
    }
    for (name, section) in &reader.named(&FORWARD_AUTH) {
        let names = |route: &Route| route.forward_auth.as_ref().is_some_and(|it| it.name == *name);
        if all.contains_key(*name) && !routes.iter().any(names) {
            let wrong = Wrong::new(format!("no route has the forward_auth `{name}`"));
            let hint =
                format!("write `forward_auth = \"{name}\"` into a `[[route]]`, or remove it");
            reader.refuse_section(section, wrong.hint(hint));
        }
    }
}

/// The one that a route names.
pub(super) fn of_route<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    all: &ForwardAuths,
) -> Option<Arc<ForwardAuth>> {
    let check = |name: &Option<String>| match name {
        Some(name) if !all.contains_key(name) => {
            let hint = if all.is_empty() {
                format!("write `[forward_auth.{name}]` with `origin` and `path`")
            } else {
                suggest(name, all.keys().map(String::as_str))
            };
            Err(Wrong::new(format!("names no forward_auth: `{name}`")).hint(hint))
        }
        _ => Ok(()),
    };
    let name: Option<String> = reader.get_where(section, "forward_auth", None, check);
    name.and_then(|name| all.get(&name).cloned())
}

/// Path and query.
struct Target(Uri);

impl Setting for Target {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Target, Wrong> {
        const HINT: &str = "write a path, such as `/api/authz/forward-auth`";
        let text = text(value, "a path", HINT)?;
        let uri = text.parse().ok().filter(|_| text.starts_with('/'));
        uri.map(Target).ok_or_else(|| Wrong::new(format!("is not a path: `{text}`")).hint(HINT))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

const SHOWN: [(&str, Shown); 3] =
    [("method", Shown::Method), ("target", Shown::Target), ("address", Shown::Address)];

impl Setting for Shown {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Shown, Wrong> {
        word(value, &SHOWN)
    }

    fn show(&self) -> String {
        let word = SHOWN.iter().find(|(_, shown)| shown == self).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }
}

const ON_FAILURE: [(&str, OnFailure); 2] =
    [("refuse", OnFailure::Refuse), ("let-in", OnFailure::LetIn)];

impl Setting for OnFailure {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<OnFailure, Wrong> {
        word(value, &ON_FAILURE)
    }

    fn show(&self) -> String {
        let word = ON_FAILURE.iter().find(|(_, does)| does == self).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }
}
