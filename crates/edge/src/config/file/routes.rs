//! `[[route]]`: which request goes where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::forward_auth::ForwardAuths;
use super::origins::is_name;
use super::policies::{self, Policies};
use super::problem::{Wrong, suggest};
use super::rates::{self, Rates};
use super::reader::{Given, Reader, Section};
use super::reference::{ANSWER, FIELDS, REDIRECT, ROUTE};
use super::rooms::readable;
use super::route_files::{files, sendfile};
use super::setting::{Size, text, written};
use super::terms::{Host, Path, editable_field, field_name, field_value, show_path};
use super::{SetBy, early_hints, forward_auth, mirror, shadow, splits, users};
use crate::config::origin::Origin;
use crate::config::policy::Policy;
use crate::config::rate::Rate;
use crate::config::route::{
    Action, EarlyHints, FieldEdit, HostRule, NamedValue, PathRule, Route, Segment,
};
use crate::config::template::{Purpose, Template, TemplateError};

/// The origin that `--origin` and `forebay run -- CMD` make.
pub const FLAG_ORIGIN: &str = "app";

/// What routes may refer to.
pub(super) struct Known<'k> {
    pub(super) policies: &'k Policies,
    pub(super) rates: &'k Rates,
    pub(super) forward_auths: &'k ForwardAuths,
    pub(super) origins: &'k [Arc<Origin>],
}

pub(super) fn read(reader: &mut Reader<'_>, known: &Known<'_>) -> Vec<Route> {
    let tables = reader.list(&ROUTE);
    if tables.is_empty() {
        return everything(reader, known.origins).into_iter().collect();
    }
    let mut names = BTreeSet::new();
    let mut routes = Vec::new();
    for table in tables {
        let mut section = Section::of(&ROUTE, "route", vec![table]);
        let name = name(reader, &mut section, &mut names);
        let route = route(reader, &section, name, known);
        routes.push((route, section));
    }
    if !reader.is_clean() {
        return routes.into_iter().map(|(route, _)| route).collect();
    }
    for (earlier, later) in shadow::find(routes.iter().map(|(route, _)| route)) {
        let (Some((first, place)), Some((second, section))) =
            (routes.get(earlier), routes.get(later))
        else {
            continue;
        };
        let place = place.line().unwrap_or_default();
        let wrong = Wrong::new(format!(
            "route `{}` can never match: route `{}` ({place}) takes everything it would",
            second.name, first.name
        ))
        .hint(
            "routes are tried in the order of the file; put the narrower one first, or remove it",
        );
        reader.refuse_section(section, wrong);
    }
    routes.into_iter().map(|(route, _)| route).collect()
}

/// Without routes everything goes to the one origin that there is.
fn everything(reader: &mut Reader<'_>, origins: &[Arc<Origin>]) -> Option<Route> {
    let flagged = origins.iter().find(|origin| origin.name == FLAG_ORIGIN);
    match (flagged, origins) {
        (Some(origin), _) | (None, [origin]) => Some(Route::everything_to(&origin.name)),
        (None, []) if !reader.is_clean() => None,
        (None, []) => {
            reader.refuse_all(Wrong::new("there is no application to stand before").hint(
                "name it with `forebay run --origin http://127.0.0.1:3000`, start it with \
                     `forebay run -- CMD`, or write `[[origin]]` in a file that `--config` names",
            ));
            None
        }
        (None, [first, second, ..]) => {
            let wrong = Wrong::new(format!(
                "there are several origins (`{}`, `{}`) and no route says which one to ask",
                first.name, second.name
            ));
            reader.refuse_all(wrong.hint(format!(
                "write a route, such as\n\n  [[route]]\n  origin = \"{}\"",
                first.name
            )));
            None
        }
    }
}

fn name<'t>(
    reader: &mut Reader<'t>,
    section: &mut Section<'t>,
    names: &mut BTreeSet<String>,
) -> String {
    let check = |name: &String| {
        if !is_name(name) {
            return Err(Wrong::new(format!("is not a proper name: `{name}`"))
                .hint("write letters, digits, `-`, `_` and `.`"));
        }
        if names.contains(name) {
            return Err(Wrong::new(format!("is the name of an earlier route: `{name}`"))
                .hint("names stand in logs and metrics; give each route its own"));
        }
        Ok(())
    };
    let mut number = names.len() + 1;
    while names.contains(&format!("route-{number}")) {
        number += 1;
    }
    let default = format!("route-{number}");
    let given = section.given("name").and_then(|given| given.value.get_ref().as_str());
    section.path = format!("route.{}", given.unwrap_or(&default));
    let name = reader.get_where(section, "name", default, check);
    names.insert(name.clone());
    name
}

fn route<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    name: String,
    known: &Known<'_>,
) -> Route {
    let path = reader.get(section, "path", Path(PathRule::Any)).0;
    let mut route = Route {
        name,
        scheme: reader.get(section, "scheme", None),
        hosts: hosts(reader, section),
        methods: methods(reader, section),
        fields: named_values(reader, section, "fields"),
        cookies: named_values(reader, section, "cookies"),
        countries: reader.get(section, "countries", Vec::new()),
        action: action(reader, section, &path, known),
        split: None,
        policy: policy(reader, section, known),
        rewrite: rewrite(reader, section, &path),
        sendfile: sendfile(reader, section),
        early_hints: EarlyHints::default(),
        request_fields: edits(reader, section, "request_fields"),
        answer_fields: edits(reader, section, "answer_fields"),
        error_pages: error_pages(reader, section),
        max_content_bytes: reader
            .get::<Option<Size>>(section, "max_content", None)
            .map(|size| size.0),
        rates: rates(reader, section, known),
        basic_auth: users::read(reader, section),
        forward_auth: forward_auth::of_route(reader, section, known.forward_auths),
        mirror: None,
        is_in_maintenance: reader.get(section, "maintenance", false),
        path,
    };
    route.early_hints = early_hints::read(reader, section, &route.action);
    route.split = splits::read(reader, section, &route.action, known.origins);
    route.mirror = mirror::read(reader, section, &route.action, known.origins);
    route
}

fn hosts<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<HostRule> {
    let hosts: Vec<Host> = reader.get(section, "hosts", Vec::new());
    if hosts.iter().any(|host| host.0.is_none()) {
        return Vec::new();
    }
    hosts.into_iter().filter_map(|host| host.0).collect()
}

/// `GET` takes `HEAD` with it: a stored answer to one answers both (RFC 9110 §9.3.2).
fn methods<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<Method> {
    let mut methods: Vec<Method> = reader.get(section, "methods", Vec::new());
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    methods
}

fn policy<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    known: &Known<'_>,
) -> Option<Arc<Policy>> {
    let check = |name: &Option<String>| match name {
        Some(name) if !known.policies.contains_key(name) => {
            Err(policies::unknown(name, known.policies))
        }
        _ => Ok(()),
    };
    let name: Option<String> = reader.get_where(section, "policy", None, check);
    name.and_then(|name| known.policies.get(&name).cloned())
}

fn rates<'t>(reader: &mut Reader<'t>, section: &Section<'t>, known: &Known<'_>) -> Vec<Arc<Rate>> {
    let check =
        |names: &Vec<String>| match names.iter().find(|name| !known.rates.contains_key(*name)) {
            Some(name) => Err(rates::unknown(name, known.rates)),
            None => Ok(()),
        };
    let names: Vec<String> = reader.get_where(section, "rates", Vec::new(), check);
    names.iter().filter_map(|name| known.rates.get(name).cloned()).collect()
}

fn named_values<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
) -> Vec<NamedValue> {
    const HINT: &str = "write `{ name = \"value\" }`, or `{ name = true }` for any value";
    let Some((given, entries)) = reader.entries(section, key, HINT) else { return Vec::new() };
    let mut values = Vec::new();
    for (name, at, entry) in entries {
        let name = match (key, field_name(name)) {
            ("fields", Err(wrong)) => {
                reader.refuse(section, key, given, wrong.at(at));
                continue;
            }
            ("fields", Ok(name)) => name.as_str().to_owned(),
            _ => name.to_owned(),
        };
        let raw = entry.value.get_ref();
        match (raw.as_str(), raw.as_bool()) {
            (Some(text), _) => values.push(NamedValue { name, value: Some(text.to_owned()) }),
            (None, Some(true)) => values.push(NamedValue { name, value: None }),
            _ => {
                let wrong =
                    Wrong::new(format!("has no usable value for `{name}`: `{}`", written(raw)));
                let at = entry.value.span().start;
                reader.refuse(section, key, given, wrong.hint(HINT).at(at));
            }
        }
    }
    values
}

fn action<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    path: &PathRule,
    known: &Known<'_>,
) -> Action {
    let origin = section.given("origin");
    let redirect = section.given("redirect");
    let answer = section.given("answer");
    let files = section.given("files");
    let given = [origin, redirect, answer, files].into_iter().flatten().count();
    match (redirect, answer, files) {
        _ if given > 1 => {
            let wrong = Wrong::new(format!("`{}` has more than one thing to do", section.path))
                .hint("keep one of `origin`, `redirect`, `answer` and `files`");
            reader.refuse_section(section, wrong);
            Action::Forward(String::new())
        }
        (Some(redirect), ..) => self::redirect(reader, section, redirect, path),
        (_, Some(answer), _) => fixed(reader, section, answer),
        (.., Some(given)) => Action::Files(self::files(reader, section, given)),
        _ => forward(reader, section, known),
    }
}

fn forward<'t>(reader: &mut Reader<'t>, section: &Section<'t>, known: &Known<'_>) -> Action {
    let names = || known.origins.iter().map(|origin| origin.name.as_str());
    let check = |name: &String| {
        if names().any(|known| known == name) {
            return Ok(());
        }
        let hint = if known.origins.is_empty() {
            format!("write `[[origin]]` with `name = \"{name}\"`")
        } else {
            suggest(name, names())
        };
        Err(Wrong::new(format!("names no origin: `{name}`")).hint(hint))
    };
    let only = match known.origins {
        [only] => only.name.clone(),
        _ => String::new(),
    };
    if only.is_empty() && section.given("origin").is_none() {
        let wrong = Wrong::new(format!("`{}` has nothing to do", section.path))
            .hint("write `origin = \"NAME\"`, `redirect`, `answer` or `files`");
        reader.refuse_section(section, wrong);
    }
    Action::Forward(reader.get_where(section, "origin", only, check))
}

fn redirect<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    given: Given<'t>,
    path: &PathRule,
) -> Action {
    reader.note_given(section, "redirect", given);
    let permanent = StatusCode::PERMANENT_REDIRECT;
    if given.value.get_ref().as_table().is_none() {
        let to = match target(given, path, Purpose::Redirect) {
            Ok(to) => to,
            Err(wrong) => {
                reader.refuse(section, "redirect", given, wrong);
                String::new()
            }
        };
        return Action::Redirect(permanent, to);
    }
    let inner = &reader.inner(&REDIRECT, given, &format!("{}.redirect", section.path));
    let status = reader.get_where(inner, "status", permanent, |status: &StatusCode| {
        if [301, 302, 303, 307, 308].contains(&status.as_u16()) {
            return Ok(());
        }
        Err(Wrong::new(format!("is not a redirect: `{}`", status.as_u16()))
            .hint("write 301, 302, 303, 307 or 308; 307 and 308 keep the method"))
    });
    let Some(given) = inner.given("to") else {
        let wrong = Wrong::new(format!("`{}` has no target", inner.path))
            .hint("write `to = \"https://{host}{path}{query}\"`");
        reader.refuse_section(inner, wrong);
        return Action::Redirect(status, String::new());
    };
    match target(given, path, Purpose::Redirect) {
        Ok(to) => {
            reader.note_given(inner, "to", given);
            Action::Redirect(status, to)
        }
        Err(wrong) => {
            reader.refuse(inner, "to", given, wrong);
            Action::Redirect(status, String::new())
        }
    }
}

fn fixed<'t>(reader: &mut Reader<'t>, section: &Section<'t>, given: Given<'t>) -> Action {
    reader.note_given(section, "answer", given);
    let inner = &reader.inner(&ANSWER, given, &format!("{}.answer", section.path));
    let status = reader.get(inner, "status", StatusCode::OK);
    let text = reader.get(inner, "text", String::new());
    Action::Fixed(status, Bytes::from(text))
}

fn rewrite<'t>(reader: &mut Reader<'t>, section: &Section<'t>, path: &PathRule) -> Option<String> {
    let Some(given) = section.given("rewrite") else {
        return reader.get::<Option<String>>(section, "rewrite", None);
    };
    match target(given, path, Purpose::Rewrite) {
        Ok(to) => {
            reader.note_given(section, "rewrite", given);
            Some(to)
        }
        Err(wrong) => {
            reader.refuse(section, "rewrite", given, wrong);
            None
        }
    }
}

/// A template that fits the route's path.
fn target(given: Given<'_>, path: &PathRule, purpose: Purpose) -> Result<String, Wrong> {
    let text = text(given.value, "a target", "write `/new/{id}`")?;
    let names = captures(path);
    let hint = |error: &TemplateError| match (error, purpose) {
        (TemplateError::Unknown(name), _) => format!(
            "the path `{}` captures {}; `{{path}}`, `{{query}}` and `{{host}}` are always there, and \
             `:{name}` in the path captures a segment",
            show_path(path),
            super::problem::list(names.iter().copied())
        ),
        (TemplateError::Unclosed, _) => "write a name in braces, such as `{id}`".into(),
        (TemplateError::Start, Purpose::Redirect) => {
            "begin with `/`, `{path}`, `https://` or `http://` and a host".into()
        }
        (TemplateError::Start, Purpose::Rewrite) => "begin with `/` or `{path}`".into(),
        (TemplateError::Authority(_), _) => {
            "write the host out, or use `{host}`; captures stand after the first `/`".into()
        }
        (TemplateError::Byte, _) => "write a space as `%20`".into(),
    };
    match Template::parse(text, &names, purpose) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Wrong::new(format!("{error}: `{text}`")).hint(hint(&error))),
    }
}

fn captures(path: &PathRule) -> Vec<&str> {
    let PathRule::Pattern(segments) = path else { return Vec::new() };
    let name = |segment| match segment {
        &Segment::One(ref name) | &Segment::Rest(ref name) => Some(name.as_str()),
        Segment::Literal(_) => None,
    };
    segments.iter().filter_map(name).collect()
}

fn edits<'t>(reader: &mut Reader<'t>, section: &Section<'t>, key: &'static str) -> Vec<FieldEdit> {
    let Some(given) = section.given(key) else {
        reader.note(format!("{}.{key}", section.path), "{}".into(), SetBy::Default);
        return Vec::new();
    };
    reader.note_given(section, key, given);
    let inner = &reader.inner(&FIELDS, given, &format!("{}.{key}", section.path));
    let mut edits = Vec::new();
    if let Some(given) = inner.given("remove") {
        for item in given.items() {
            match text(item.value, "a field name", "write a text").and_then(editable_field) {
                Ok(name) => edits.push(FieldEdit::Remove(name)),
                Err(wrong) => reader.refuse(inner, "remove", item, wrong),
            }
        }
    }
    for (key, make) in [("set", FieldEdit::Set as fn(_, _) -> _), ("add", FieldEdit::Add)] {
        let Some(given) = inner.given(key) else { continue };
        let Some(entries) = given.entries() else {
            let got = written(given.value.get_ref());
            let wrong = Wrong::new(format!("is not a table: `{got}`"));
            reader.refuse(inner, key, given, wrong.hint("write `{ x-robots-tag = \"noindex\" }`"));
            continue;
        };
        for (name, at, entry) in entries {
            let name = editable_field(name).map_err(|wrong| wrong.at(at));
            match name.and_then(|name| Ok(make(name, field_value(entry.value)?))) {
                Ok(edit) => edits.push(edit),
                Err(wrong) => reader.refuse(inner, key, entry, wrong),
            }
        }
    }
    edits
}

/// Pages by status, taken in at load: an outage is no time to open files.
fn error_pages<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> BTreeMap<u16, Bytes> {
    const KEY: &str = "error_pages";
    const HINT: &str = "write `{ 503 = \"pages/503.html\" }` or `{ 5xx = \"pages/error.html\" }`";
    let mut pages = BTreeMap::new();
    let Some((given, entries)) = reader.entries(section, KEY, HINT) else { return pages };
    // A class first, so that a single status overrides it whatever the order of the file.
    let (classes, singles): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(status, ..)| status.ends_with("xx"));
    for (status, at, file) in classes.into_iter().chain(singles) {
        let statuses = match (status, status.parse::<u16>()) {
            ("4xx", _) => 400..=499,
            ("5xx", _) => 500..=599,
            (_, Ok(status @ 400..=599)) => status..=status,
            _ => {
                let wrong = Wrong::new(format!("has a page for `{status}`, which is no error"));
                reader.refuse(section, KEY, given, wrong.hint(HINT).at(at));
                continue;
            }
        };
        match readable(reader, file) {
            Ok((_, bytes)) => {
                let bytes = Bytes::from(bytes);
                pages.extend(statuses.map(|status| (status, bytes.clone())));
            }
            Err(wrong) => reader.refuse(section, KEY, file, wrong),
        }
    }
    pages
}
