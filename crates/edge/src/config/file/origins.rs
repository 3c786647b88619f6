//! `[[origin]]`: applications behind the edge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::problem::Wrong;
use super::reader::{Given, Reader, Section, Table};
use super::reference::{ORIGIN, PROBE, SERVER};
use super::rooms::{number, readable, time};
use super::setting::{OrOff, Positive, text, within};
use crate::config::origin::{Address, Origin, Probe, Server, Speaks, Tls};

const URL_HINT: &str = "write `http://10.0.0.5:3000`, `https://app.example`, \
                        `h2c://10.0.0.5:3000` or `unix:/run/app.sock`";

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Arc<Origin>> {
    let mut sections: Vec<(&str, Vec<Table<'_>>)> = Vec::new();
    for table in reader.list(&ORIGIN) {
        let Some(name) = table.name().filter(|name| is_name(name)) else {
            let section = Section::of(&ORIGIN, "origin", vec![table]);
            let wrong = Wrong::new("an origin has no proper name")
                .hint("write `name = \"app\"`: letters, digits, `-` and `_`");
            reader.refuse_section(&section, wrong);
            continue;
        };
        let known = sections.iter_mut().find(|(known, _)| *known == name);
        let Some((_, tables)) = known else {
            sections.push((name, vec![table]));
            continue;
        };
        if let Some(first) = tables.iter().find(|first| first.is_beside(&table)) {
            let first = Section::of(&ORIGIN, "origin", vec![*first]).line();
            let second = Section::of(&ORIGIN, "origin", vec![table]);
            let place = first.unwrap_or_default();
            let wrong = Wrong::new(format!("a second origin has the name `{name}`"))
                .hint(format!("the first stands in {place}; give one of them another name"));
            reader.refuse_section(&second, wrong);
            continue;
        }
        // A flag gives an origin of the file other servers, and leaves its other settings alone.
        tables.push(table);
    }
    let mut origins = Vec::new();
    for (name, tables) in sections {
        let section = Section::of(&ORIGIN, format!("origin.{name}"), tables);
        origins.push(Arc::new(origin(reader, &section, name)));
    }
    origins
}

/// Names stand in logs, metrics and `Cache-Status`.
pub(super) fn is_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn origin<'t>(reader: &mut Reader<'t>, section: &Section<'t>, name: &str) -> Origin {
    let mut origin = Origin::new(name, Vec::new());
    origin.servers = servers(reader, section);
    origin.balance = reader.get(section, "balance", origin.balance);
    origin.hash_by = reader.get(section, "hash_by", origin.hash_by);
    origin.hash_bound = reader.get(section, "hash_bound", origin.hash_bound);
    let slow_start = OrOff(origin.slow_start.map(Positive));
    origin.slow_start = reader.get(section, "slow_start", slow_start).0.map(|time| time.0);
    origin.probe = probe(reader, section);
    origin.host = reader.get(section, "host", origin.host);
    origin.failover_statuses =
        reader.get::<Vec<StatusCode>>(section, "failover_statuses", origin.failover_statuses);
    deadlines(reader, section, &mut origin);
    origin.max_tries = reader.get_where(section, "max_tries", origin.max_tries, within(1, 10));
    origin.retry_budget_percent = reader.get_where(
        section,
        "retry_budget_percent",
        origin.retry_budget_percent,
        within(0, 100),
    );
    origin.max_in_flight = number(reader, section, "max_in_flight", origin.max_in_flight);
    let factor = OrOff(origin.throttle_factor);
    origin.throttle_factor = reader.get(section, "throttle_factor", factor).0;
    origin.pool_max_idle = reader.get(section, "pool_max_idle", origin.pool_max_idle);
    origin.breaker_failures = number(reader, section, "breaker_failures", origin.breaker_failures);
    origin
}

fn deadlines<'t>(reader: &mut Reader<'t>, section: &Section<'t>, origin: &mut Origin) {
    let deadlines: [(&'static str, &mut Duration); 7] = [
        ("connect_timeout", &mut origin.connect_timeout),
        ("try_timeout", &mut origin.try_timeout),
        ("total_timeout", &mut origin.total_timeout),
        ("content_idle_timeout", &mut origin.content_idle_timeout),
        ("pool_idle_timeout", &mut origin.pool_idle_timeout),
        ("breaker_open_for", &mut origin.breaker_open_for),
        ("resolve_every", &mut origin.resolve_every),
    ];
    for (key, value) in deadlines {
        *value = time(reader, section, key, *value);
    }
}

fn servers<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<Server> {
    let Some(given) = section.given("servers") else {
        let wrong = Wrong::new(format!("`{}` has no servers", section.path))
            .hint("write `servers = [\"http://127.0.0.1:3000\"]`");
        reader.refuse_section(section, wrong);
        return Vec::new();
    };
    reader.note_given(section, "servers", given);
    let items = given.items();
    if items.is_empty() {
        let wrong =
            Wrong::new("is empty: `[]`").hint("write `servers = [\"http://127.0.0.1:3000\"]`");
        reader.refuse(section, "servers", given, wrong);
    }
    let mut servers: Vec<Server> = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let Some(server) = server(reader, section, item, at) else { continue };
        if servers.iter().any(|other| other.address == server.address) {
            let wrong = Wrong::new("names one server twice")
                .hint("leave one of them; a larger share is `weight = 2`")
                .at(item.value.span().start);
            reader.refuse(section, "servers", given, wrong);
        }
        servers.push(server);
    }
    if !servers.is_empty() && servers.iter().all(|server| server.weight == 0) {
        let wrong = Wrong::new("has no server that takes requests: every weight is `0`")
            .hint("give at least one server a weight of 1");
        reader.refuse(section, "servers", given, wrong);
    }
    servers
}

fn server<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    item: Given<'t>,
    at: usize,
) -> Option<Server> {
    if item.value.get_ref().as_table().is_none() {
        return match url(item) {
            Ok(server) => Some(server),
            Err(wrong) => {
                reader.refuse(section, "servers", item, wrong);
                None
            }
        };
    }
    let inner = &reader.inner(&SERVER, item, &format!("{}.servers[{at}]", section.path));
    let Some(address) = inner.given("url") else {
        let wrong = Wrong::new(format!("`{}` has no `url`", inner.path)).hint(URL_HINT);
        reader.refuse_section(inner, wrong);
        return None;
    };
    let mut server = match url(address) {
        Ok(server) => server,
        Err(wrong) => {
            reader.refuse(inner, "url", address, wrong);
            return None;
        }
    };
    server.weight = reader.get_where(inner, "weight", server.weight, within(0, 1_000));
    server.group = reader.get(inner, "group", server.group);
    tls(reader, inner, &mut server);
    Some(server)
}

fn tls<'t>(reader: &mut Reader<'t>, section: &Section<'t>, server: &mut Server) {
    let Some(tls) = &mut server.tls else {
        for key in ["server_name", "authorities"] {
            if let Some(given) = section.given(key) {
                let wrong = Wrong::new("has no effect on a server without TLS")
                    .hint("write `https://` in its `url`, or leave this out");
                reader.refuse(section, key, given, wrong);
            }
        }
        return;
    };
    tls.server_name = reader.get(section, "server_name", None);
    if let Some(given) = section.given("authorities") {
        match readable(reader, given) {
            Ok((path, _)) => {
                reader.note_given(section, "authorities", given);
                tls.authorities = Some(path);
            }
            Err(wrong) => reader.refuse(section, "authorities", given, wrong),
        }
    } else {
        reader.get::<Option<PathBuf>>(section, "authorities", None);
    }
}

fn url(given: Given<'_>) -> Result<Server, Wrong> {
    let url = text(given.value, "a server", URL_HINT)?;
    let wrong = |why: &str| {
        Wrong::new(format!("{why}: `{url}`")).hint(URL_HINT).at(given.value.span().start)
    };
    if let Some(path) = url.strip_prefix("unix:") {
        let is_absolute = path.starts_with('/') && !path.starts_with("//");
        return if is_absolute {
            Ok(Server::plain(Address::Unix(path.into())))
        } else {
            Err(wrong("is not an absolute path"))
        };
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(wrong("has a path")
            .hint("a server has none; `rewrite` of a route changes the path of its requests"));
    }
    if rest.contains('@') {
        return Err(wrong("holds a password")
            .hint("set `authorization` with `request_fields` of the route"));
    }
    let (port, tls, speaks) = match scheme {
        "http" => (80, None, Speaks::Either),
        "h2c" => (80, None, Speaks::Http2),
        "https" => (443, Some(Tls::default()), Speaks::Either),
        _ => return Err(wrong("has an unknown scheme")),
    };
    let (host, port) = host_and_port(rest, port).ok_or_else(|| wrong("is not a server"))?;
    Ok(Server { tls, speaks, ..Server::plain(Address::Tcp(host, port)) })
}

/// Brackets of an IPv6 address are gone afterwards.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    if port == 0 {
        return None;
    }
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return inner.parse::<std::net::Ipv6Addr>().ok().map(|_| (inner.to_owned(), port));
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_host = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain);
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

fn probe<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Option<Probe> {
    let Some(given) = section.given("probe") else {
        reader.get::<Option<String>>(section, "probe", None);
        return None;
    };
    reader.note_given(section, "probe", given);
    let inner = &reader.inner(&PROBE, given, &format!("{}.probe", section.path));
    let path = reader.get_where(inner, "path", "/".to_owned(), |path: &String| {
        let is_target = path.starts_with('/') && path.bytes().all(|b| (0x21..0x7f).contains(&b));
        if is_target {
            return Ok(());
        }
        Err(Wrong::new(format!("is not a path: `{path}`")).hint("write `/up`"))
    });
    let interval = time(reader, inner, "interval", Duration::from_secs(5));
    let timeout = time(reader, inner, "timeout", Duration::from_secs(2));
    Some(Probe {
        path,
        interval,
        timeout,
        rises_after: number(reader, inner, "rises_after", 2),
        falls_after: number(reader, inner, "falls_after", 3),
    })
}
