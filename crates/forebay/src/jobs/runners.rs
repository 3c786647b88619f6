//! `[jobs.http]` and `[jobs.exec]`: who runs jobs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use forebay_edge::config::file::{
    Given, Positive, Reader, Section, SetBy, Setting, Wrong, written,
};
use forebay_jobs::deliver::{Secret, trust};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::environment::variable;
use super::reference::{EXEC, HTTP};

/// Where jobs are delivered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Http {
    /// Address.
    pub(crate) url: Uri,
    /// What signs.
    pub(crate) secret: Option<Secret>,
    /// How long a delivery may take.
    pub(crate) deadline: Duration,
    /// Fields that go along.
    pub(crate) fields: HeaderMap,
    /// Authorities in PEM.
    pub(crate) authorities: Option<Vec<u8>>,
}

impl Http {
    /// To this address, with nothing else said.
    pub(crate) fn to(url: Uri) -> Http {
        let (deadline, fields) = (super::config::DEADLINE, HeaderMap::new());
        Http { url, secret: None, deadline, fields, authorities: None }
    }
}

/// Program and arguments.
pub(crate) type Command = Vec<OsString>;

pub(super) fn http<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    usual: Duration,
) -> Option<Http> {
    let table = &reader.within(section, "http", &HTTP);
    if !table.is_written() {
        reader.note("jobs.http".into(), "none".into(), SetBy::Default);
        return None;
    }
    let url = if let Some(given) = table.given("url") {
        checked(reader, table, "url", given, address)
    } else {
        let wrong = Wrong::new("`jobs.http` does not say where")
            .hint("write `url = \"http://127.0.0.1:3000/jobs\"`");
        reader.refuse_section(table, wrong);
        None
    };
    let secret = secret(reader, table);
    let authorities = table.given("authorities").and_then(|given| {
        checked(reader, table, "authorities", given, |reader, given| {
            let (path, pem) = file(reader, given)?;
            trust(Some(&pem)).map_err(|error| {
                Wrong::new(format!("cannot be used: `{}`: {error}", path.display()))
                    .hint("name a file with certificates in PEM")
            })?;
            Ok(pem)
        })
    });
    let fields = if let Some(given) = table.given("fields") {
        checked(reader, table, "fields", given, |_, given| fields(given))
    } else {
        reader.note("jobs.http.fields".into(), "{}".into(), SetBy::Default);
        None
    };
    let deadline = reader.get(table, "deadline", Positive(usual)).0;
    let fields = fields.unwrap_or_default();
    url.map(|url| Http { url, secret, deadline, fields, authorities })
}

/// A value that is read by hand; it is noted, or refused.
pub(super) fn checked<'t, T>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
    given: Given<'t>,
    read: impl Fn(&Reader<'t>, Given<'t>) -> Result<T, Wrong>,
) -> Option<T> {
    match read(reader, given) {
        Ok(value) => {
            reader.note_given(section, key, given);
            Some(value)
        }
        Err(wrong) => {
            reader.refuse(section, key, given, wrong);
            None
        }
    }
}

pub(super) fn file<'t>(reader: &Reader<'t>, given: Given<'t>) -> Result<(PathBuf, Vec<u8>), Wrong> {
    let path = reader.path(given, &PathBuf::read(given.value)?);
    let bytes = reader.read(&path).map_err(|error| {
        Wrong::new(format!("cannot be read: `{}`: {error}", path.display()))
            .hint("check the path and that the user who runs forebay may read it")
    })?;
    Ok((path, bytes))
}

fn address(_: &Reader<'_>, given: Given<'_>) -> Result<Uri, Wrong> {
    let text = String::read(given.value)?;
    url(&text).map_err(|why| {
        Wrong::new(format!("{why}: `{text}`"))
            .hint("write `http://127.0.0.1:3000/jobs` or `https://shop.example/jobs`")
    })
}

/// An address that jobs can be delivered to.
pub(crate) fn url(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_| "is no address")?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("has a password in it, which belongs into `fields`")
        }
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("is no address"),
    }
}

fn secret<'t>(reader: &mut Reader<'t>, table: &Section<'t>) -> Option<Secret> {
    const HINT: &str = "make one: `echo whsec_$(openssl rand -base64 32)`";
    if let Some(text) = variable("FOREBAY_JOBS_SECRET") {
        return match Secret::parse(&text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let text = format!("`FOREBAY_JOBS_SECRET` holds no secret: {error}");
                reader.refuse_all(Wrong::new(text).hint(HINT));
                None
            }
        };
    }
    let Some(given) = table.given("secret_file") else {
        reader.note("jobs.http.secret_file".into(), "none".into(), SetBy::Default);
        return None;
    };
    checked(reader, table, "secret_file", given, |reader, given| {
        let (path, bytes) = file(reader, given)?;
        Secret::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
            Wrong::new(format!("holds no secret: `{}`: {error}", path.display())).hint(HINT)
        })
    })
}

fn fields(given: Given<'_>) -> Result<HeaderMap, Wrong> {
    const HINT: &str = "write `fields = { authorization = \"Bearer …\" }`";
    let ours = [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT];
    let begins = ["webhook-", "forebay-job", "idempotency-key", "traceparent"];
    let entries = given.entries().ok_or_else(|| {
        Wrong::new(format!("is no table: `{}`", written(given.value.get_ref()))).hint(HINT)
    })?;
    let mut fields = HeaderMap::new();
    for (name, at, value) in entries {
        let wrong = |why: &str| Wrong::new(format!("{why}: `{name}`")).hint(HINT).at(at);
        let field = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("has something that is no field name"))?;
        if ours.contains(&field) || begins.iter().any(|it| field.as_str().starts_with(it)) {
            return Err(wrong("has a field that each delivery sets itself").hint("remove it"));
        }
        let text = String::read(value.value)?;
        let value = HeaderValue::from_str(&text)
            .map_err(|_| wrong("has a value that no field can have"))?;
        fields.insert(field, value);
    }
    Ok(fields)
}

pub(super) fn exec<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
) -> (Command, Vec<(String, Command)>) {
    let table = &reader.within(section, "exec", &EXEC);
    if !table.is_written() {
        reader.note("jobs.exec".into(), "none".into(), SetBy::Default);
        return (Vec::new(), Vec::new());
    }
    let text = |command: Vec<String>| command.into_iter().map(OsString::from).collect();
    let command = reader.get(table, "command", Vec::<String>::new());
    let hint = "write `classes = { Report = [\"bin/report\"] }`";
    let mut commands = Vec::new();
    if let Some((given, entries)) = reader.entries(table, "classes", hint) {
        for (class, at, value) in entries {
            let one = Vec::<String>::read(value.value)
                .and_then(|it| if it.is_empty() { Err(Wrong::new("is empty")) } else { Ok(it) });
            if let Ok(one) = one {
                commands.push((class.to_owned(), text(one)));
            } else {
                let wrong = Wrong::new(format!("has no command for the class: `{class}`"));
                reader.refuse(table, "classes", given, wrong.hint(hint).at(at));
            }
        }
    }
    if command.is_empty() && commands.is_empty() {
        let wrong =
            Wrong::new("`jobs.exec` names no command").hint("write `command = [\"bin/job\"]`");
        reader.refuse_section(table, wrong);
    }
    (text(command), commands)
}
