//! Sections of one room each: `[listen] [admit] [cache] [compress] [log] [admin]`.

use std::path::PathBuf;
use std::time::Duration;

use super::listeners::Listening;
use super::problem::Wrong;
use super::reader::{Given, Reader, Section};
use super::reference::{ACME, ADMIN, ADMIT, CACHE, CERTIFICATE, COMPRESS, LISTEN, LOG};
use super::setting::{Positive, Setting, Size, within};
use crate::config::admin::Admin;
use crate::config::admit::Admit;
use crate::config::cache::{Cache, Visibility};
use crate::config::compress::Compress;
use crate::config::listen::{Certificate, Listen, Listener, Place, Protocol};
use crate::config::log::Log;

/// Without a word about it: a port that needs no rights.
const PORT: u16 = 8080;
/// The same for TLS, once there is a certificate.
const TLS_PORT: u16 = 8443;

pub(super) fn listen(reader: &mut Reader<'_>) -> Listen {
    let section = &reader.section(&LISTEN);
    let defaults = Listen::default();
    let certificates = certificates(reader, section);
    let has_certificates = !certificates.is_empty() || reader.has(&ACME);
    let listeners = listeners(reader, section, has_certificates);
    Listen {
        listeners,
        certificates,
        proxy_protocol: reader.get(section, "proxy_protocol", defaults.proxy_protocol),
        head_timeout: time(reader, section, "head_timeout", defaults.head_timeout),
        http2_first_request_timeout: time(
            reader,
            section,
            "http2_first_request_timeout",
            defaults.http2_first_request_timeout,
        ),
        idle_timeout: time(reader, section, "idle_timeout", defaults.idle_timeout),
        min_content_rate: number(reader, section, "min_content_rate", defaults.min_content_rate),
        content_grace: time(reader, section, "content_grace", defaults.content_grace),
        blocked_write_timeout: time(
            reader,
            section,
            "blocked_write_timeout",
            defaults.blocked_write_timeout,
        ),
        upgraded_idle_timeout: time(
            reader,
            section,
            "upgraded_idle_timeout",
            defaults.upgraded_idle_timeout,
        ),
        drain_timeout: time(reader, section, "drain_timeout", defaults.drain_timeout),
        cores: reader.get_where(section, "cores", defaults.cores, |cores| {
            cores.map_or(Ok(()), |cores| within(1, 1024)(&cores))
        }),
    }
}

fn listeners<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    has_certificates: bool,
) -> Vec<Listener> {
    let mut default = vec![Listening::everywhere(PORT, Protocol::Plain)];
    if has_certificates {
        default.push(Listening::everywhere(TLS_PORT, Protocol::Tls));
    }
    let has_ipv6 = reader.machine.has_ipv6;
    let check = |on: &Vec<Listening>| {
        if on.is_empty() {
            return Err(Wrong::new("is empty: `[]`").hint("name at least one listener"));
        }
        let mut seen: Vec<Place> = Vec::new();
        for place in on.iter().flat_map(|on| on.listeners(has_ipv6)).map(|l| l.place) {
            if seen.contains(&place) {
                return Err(Wrong::new(format!("names a place twice: `{}`", show(&place)))
                    .hint("one socket speaks either TLS or clear text; leave one of the two"));
            }
            seen.push(place);
        }
        Ok(())
    };
    let on = reader.get_where(section, "on", default, check);
    check_tls(reader, section, &on, has_certificates);
    on.iter().flat_map(|on| on.listeners(has_ipv6)).collect()
}

fn check_tls<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    on: &[Listening],
    has_certificates: bool,
) {
    let tls = on.iter().find(|on| on.protocol == Protocol::Tls);
    let wrong = match (tls, has_certificates) {
        (Some(tls), false) => Wrong::new(format!("has no certificate for {}", ticked(tls))).hint(
            "add `certificates = [{ chain = \"chain.pem\", key = \"key.pem\" }]` to `[listen]`, \
             pass `--tls-cert` and `--tls-key`, or let `[acme]` order one",
        ),
        (None, true) => Wrong::new(
            "has no listener that speaks TLS, though there is a certificate",
        )
        .hint("write `https://` before the listener that shall use it, such as `https://:443`"),
        _ => return,
    };
    // Broken certificates have been complained about already and are no certificates here.
    if tls.is_some() && section.given("certificates").is_some() {
        return;
    }
    if let Some(given) = section.given("on") {
        reader.refuse(section, "on", given, wrong);
    }
}

fn ticked(on: &Listening) -> String {
    format!("`{}`", on.show().trim_matches('"'))
}

fn certificates<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<Certificate> {
    let key = "certificates";
    let Some(given) = section.given(key) else {
        reader.note("listen.certificates".into(), "[]".into(), super::SetBy::Default);
        return Vec::new();
    };
    reader.note_given(section, key, given);
    let mut certificates = Vec::new();
    for (at, item) in given.items().into_iter().enumerate() {
        let pair = reader.inner(&CERTIFICATE, item, &format!("listen.certificates[{at}]"));
        let chain = file(reader, &pair, "chain");
        let key = file(reader, &pair, "key");
        match (chain, key) {
            (Some(Ok(chain)), Some(Ok(key))) => {
                certificates.push(Certificate::Files { chain, key });
            }
            (Some(_), Some(_)) => {}
            _ if pair.is_written() => {
                let wrong = Wrong::new("a certificate needs both its chain and its key")
                    .hint("write `{ chain = \"chain.pem\", key = \"key.pem\" }`");
                reader.refuse_section(&pair, wrong);
            }
            _ => {}
        }
    }
    certificates
}

/// A file that must be readable: `None` if there is no word about it.
fn file<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
) -> Option<Result<PathBuf, ()>> {
    let given = section.given(key)?;
    Some(readable(reader, given).map(|(path, _)| path).map_err(|wrong| {
        reader.refuse(section, key, given, wrong);
    }))
}

/// A file and its bytes.
pub(super) fn readable<'t>(
    reader: &Reader<'t>,
    given: Given<'t>,
) -> Result<(PathBuf, Vec<u8>), Wrong> {
    let path = reader.path(given, &PathBuf::read(given.value)?);
    let bytes = (reader.machine.read)(&path).map_err(|error| {
        Wrong::new(format!("cannot be read: `{}`: {error}", path.display()))
            .hint("check the path and that the user who runs forebay may read it")
    })?;
    Ok((path, bytes))
}

pub(super) fn admit(reader: &mut Reader<'_>) -> Admit {
    let section = &reader.section(&ADMIT);
    let defaults = Admit::default();
    Admit {
        trusted_proxies: reader.get(section, "trusted_proxies", defaults.trusted_proxies),
        forwarded_field: reader.get(section, "forwarded_field", defaults.forwarded_field),
        max_head_bytes: size(reader, section, "max_head", defaults.max_head_bytes),
        max_fields: number(reader, section, "max_fields", defaults.max_fields),
        max_uri_bytes: size(reader, section, "max_uri", defaults.max_uri_bytes),
        max_content_bytes: reader.get(section, "max_content", Size(defaults.max_content_bytes)).0,
        max_connections: number(reader, section, "max_connections", defaults.max_connections),
        max_connections_per_address: number(
            reader,
            section,
            "max_connections_per_address",
            defaults.max_connections_per_address,
        ),
        max_connections_per_network: number(
            reader,
            section,
            "max_connections_per_network",
            defaults.max_connections_per_network,
        ),
        max_in_flight: number(reader, section, "max_in_flight", defaults.max_in_flight),
    }
}

pub(super) fn cache(reader: &mut Reader<'_>) -> Cache {
    let section = &reader.section(&CACHE);
    let defaults = Cache::default();
    let memory = reader.get(section, "memory", Size(defaults.memory_bytes)).0;
    let object = Size(defaults.max_object_bytes.min(memory));
    let max_object_bytes = reader
        .get_where(section, "max_object", object, |size| {
            if size.0 <= memory {
                return Ok(());
            }
            Err(Wrong::new(format!("is larger than the whole store: `{}`", plain(*size)))
                .hint(format!("stay below `cache.memory`, {}", plain(Size(memory)))))
        })
        .0;
    let shows_tags = reader.get(section, "show_tags", false);
    let tags = if shows_tags { Visibility::Shown } else { Visibility::Hidden };
    Cache { memory_bytes: memory, max_object_bytes, tags }
}

pub(super) fn compress(reader: &mut Reader<'_>) -> Compress {
    let section = &reader.section(&COMPRESS);
    let defaults = Compress::default();
    Compress {
        encodings: reader.get(section, "encodings", defaults.encodings),
        min_bytes: reader.get(section, "min_size", Size(defaults.min_bytes)).0,
        more_types: reader.get_where(
            section,
            "more_types",
            defaults.more_types,
            |types| match types.iter().find(|media| !media.contains('/') || media.contains(' ')) {
                Some(media) => Err(Wrong::new(format!("is not a media type: `{media}`"))
                    .hint("write `type/subtype`, such as `application/wasm`")),
                None => Ok(()),
            },
        ),
        background_cpu_percent: reader.get_where(
            section,
            "background_cpu_percent",
            defaults.background_cpu_percent,
            within(0, 100),
        ),
        hits_before_best: reader.get(section, "hits_before_best", defaults.hits_before_best),
        encodes_with_cookies: reader.get(
            section,
            "encodes_with_cookies",
            defaults.encodes_with_cookies,
        ),
    }
}

pub(super) fn log(reader: &mut Reader<'_>) -> Log {
    let section = &reader.section(&LOG);
    let defaults = Log::default();
    let format = reader.get(section, "format", defaults.format);
    let path: Option<PathBuf> = reader.get(section, "path", defaults.path);
    let given = section.given("path");
    let path = path.map(|path| match given {
        Some(given) => reader.path(given, &path),
        None => path,
    });
    Log { format, path }
}

pub(super) fn admin(reader: &mut Reader<'_>) -> Admin {
    let section = &reader.section(&ADMIN);
    let is_public = reader.get(section, "public", false);
    let place = reader.get_where(section, "listen", Admin::default().place, |place| match place {
        Place::Tcp(address) if !address.ip().is_loopback() && !is_public => {
            Err(Wrong::new(format!("is open to the network: `{address}`")).hint(
                "whoever reaches it may purge and reload; stay on `127.0.0.1`, use a Unix socket, \
                 or write `public = true` in `[admin]`",
            ))
        }
        _ => Ok(()),
    });
    Admin { place }
}

/// A deadline.
pub(super) fn time<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
    default: Duration,
) -> Duration {
    reader.get(section, key, Positive(default)).0
}

/// A count of at least one.
pub(super) fn number<'t, N>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
    default: N,
) -> N
where
    N: Setting + PartialOrd + Copy + From<u8> + std::fmt::Display,
{
    reader.get_where(section, key, default, |value| {
        if *value >= N::from(1) {
            return Ok(());
        }
        Err(Wrong::new(format!("is too small: `{value}`")).hint("write a number of at least 1"))
    })
}

fn size<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &'static str,
    default: usize,
) -> usize {
    let check = |size: &Size| match usize::try_from(size.0) {
        Ok(1..) => Ok(()),
        _ => Err(Wrong::new(format!("is no usable size: `{}`", plain(*size)))
            .hint(r#"write a size such as "64KiB""#)),
    };
    let size = reader.get_where(section, key, Size(default as u64), check);
    usize::try_from(size.0).unwrap_or(default)
}

fn plain(size: Size) -> String {
    size.show().trim_matches('"').to_owned()
}

fn show(place: &Place) -> String {
    place.show().trim_matches('"').to_owned()
}
