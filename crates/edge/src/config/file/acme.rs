//! `[acme]`.

use std::path::PathBuf;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use http::Uri;
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::reader::{Given, Reader, Section};
use super::reference::ACME;
use super::rooms::readable;
use super::setting::{Setting, text, word};
use crate::config::acme::{
    Acme, Binding, Challenge, DIRECTORY, FOLDER, MOST_CERTIFICATES, MOST_NAMES,
};
use crate::config::listen::{Listener, Protocol, Secret};

const DOMAINS_HINT: &str =
    "write the hosts that get certificates: `domains = [\"shop.example\", \"www.shop.example\"]`";

/// Longest name of a host. RFC 1035 §2.3.4 has three more, but a file is called by it.
const MOST_NAME_BYTES: usize = 250;

pub(super) fn read(reader: &mut Reader<'_>, listeners: &[Listener]) -> Option<Acme> {
    let section = &reader.section(&ACME);
    if !section.is_written() {
        return None;
    }
    let certificates = domains(reader, section);
    agreed(reader, section);
    let directory =
        reader.get_where(section, "directory", DIRECTORY.to_owned(), |url| is_secure(url));
    let contact = reader.get_where(section, "contact", Vec::new(), |all: &Vec<String>| {
        all.iter().try_for_each(|address| is_address(address))
    });
    let folder: PathBuf = reader.get(section, "folder", FOLDER.into());
    let folder =
        section.given("folder").map_or(folder.clone(), |given| reader.path(given, &folder));
    Some(Acme {
        certificates,
        directory,
        authorities: authorities(reader, section),
        contact: contact.iter().map(|address| format!("mailto:{address}")).collect(),
        folder,
        challenges: challenges(reader, section, listeners),
        binding: binding(reader, section),
    })
}

fn agreed<'t>(reader: &mut Reader<'t>, section: &Section<'t>) {
    if reader.get(section, "agree_to_terms", false) {
        return;
    }
    let wrong = Wrong::new("nothing says that you agree to the terms of the authority").hint(
        "read them (Let's Encrypt: https://letsencrypt.org/repository/), then write \
         `agree_to_terms = true`",
    );
    reader.refuse_section(section, wrong);
}

fn domains<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<Vec<String>> {
    const KEY: &str = "domains";
    let Some(given) = section.given(KEY) else {
        let wrong = Wrong::new("names no host that shall have a certificate").hint(DOMAINS_HINT);
        reader.refuse_section(section, wrong);
        return Vec::new();
    };
    reader.note_given(section, KEY, given);
    let mut certificates: Vec<Vec<String>> = Vec::new();
    for item in given.items() {
        let mut names: Vec<String> = Vec::new();
        for name in item.items() {
            let known = certificates.iter().flatten().chain(&names);
            match host(name, known) {
                Ok(host) => names.push(host),
                Err(wrong) => reader.refuse(section, KEY, name, wrong),
            }
        }
        if names.len() > MOST_NAMES {
            let wrong = Wrong::new(format!("has {} names in one certificate", names.len()))
                .hint(format!("no more than {MOST_NAMES} fit into one"));
            reader.refuse(section, KEY, item, wrong);
        }
        if !names.is_empty() {
            certificates.push(names);
        }
    }
    if certificates.is_empty() && reader.is_clean() {
        reader.refuse(section, KEY, given, Wrong::new("is empty").hint(DOMAINS_HINT));
    }
    if certificates.len() > MOST_CERTIFICATES {
        let wrong = Wrong::new(format!("is more than {MOST_CERTIFICATES} certificates"))
            .hint("let hosts share one: write lists of them");
        reader.refuse(section, KEY, given, wrong);
    }
    certificates
}

fn host<'k>(
    given: Given<'_>,
    mut known: impl Iterator<Item = &'k String>,
) -> Result<String, Wrong> {
    let name = text(given.value, "a host", DOMAINS_HINT)?.to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err(Wrong::new(format!("is a wildcard: `{name}`")).hint(
            "authorities want a proof by DNS for it, which is not ours to give: name the hosts, or \
             get it elsewhere and put it into `listen.certificates`",
        ));
    }
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_host = name.len() <= MOST_NAME_BYTES
        && name.contains('.')
        && name.split('.').all(is_label)
        && name.parse::<std::net::IpAddr>().is_err();
    if !is_host {
        return Err(Wrong::new(format!("is no name of a public host: `{name}`"))
            .hint("write it in full, without scheme and port; letters beyond a to z as `xn--…`"));
    }
    if known.any(|known| *known == name) {
        return Err(Wrong::new(format!("names a host twice: `{name}`")).hint("leave one of them"));
    }
    Ok(name)
}

fn is_secure(url: &str) -> Result<(), Wrong> {
    let is_fine = url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_fine {
        return Ok(());
    }
    Err(Wrong::new(format!("is no HTTPS address: `{url}`"))
        .hint("write the URL of a directory, such as `https://ca.internal/acme/directory`"))
}

fn is_address(address: &str) -> Result<(), Wrong> {
    let is_fine = address.split_once('@').is_some_and(|(who, host)| {
        !who.is_empty() && host.contains('.') && address.bytes().all(|byte| byte.is_ascii_graphic())
    });
    if is_fine && !address.contains([',', '?', ':']) {
        return Ok(());
    }
    Err(Wrong::new(format!("is no e-mail address: `{address}`")).hint("write `ops@shop.example`"))
}

fn authorities<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Option<PathBuf> {
    const KEY: &str = "authorities";
    let Some(given) = section.given(KEY) else {
        return reader.get(section, KEY, None);
    };
    match readable(reader, given) {
        Ok((path, _)) => {
            reader.note_given(section, KEY, given);
            Some(path)
        }
        Err(wrong) => {
            reader.refuse(section, KEY, given, wrong);
            None
        }
    }
}

fn challenges<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    listeners: &[Listener],
) -> Vec<Challenge> {
    let can_answer = |challenge: &Challenge| {
        let protocol = match challenge {
            Challenge::Http01 => Protocol::Plain,
            Challenge::TlsAlpn01 => Protocol::Tls,
        };
        listeners.iter().any(|listener| listener.protocol == protocol)
    };
    let all = [Challenge::Http01, Challenge::TlsAlpn01];
    let default = all.into_iter().filter(can_answer).collect();
    reader.get_where(section, "challenges", default, |challenges: &Vec<Challenge>| {
        if challenges.is_empty() {
            return Err(Wrong::new("is empty: `[]`").hint("leave it out, or name one"));
        }
        Ok(())
    })
}

fn binding<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Option<Binding> {
    let key_id: Option<String> = reader.get(section, "key_id", None);
    reader.get::<Option<PathBuf>>(section, "key_file", None);
    let (key_id, given) = match (key_id, section.given("key_file")) {
        (Some(key_id), Some(given)) => (key_id, given),
        (None, None) => return None,
        _ => {
            let wrong =
                Wrong::new("an account at the authority needs both `key_id` and `key_file`")
                    .hint("write both as the authority gave them to you");
            reader.refuse_section(section, wrong);
            return None;
        }
    };
    let key = readable(reader, given).and_then(|(path, bytes)| {
        let key = String::from_utf8_lossy(&bytes).trim().trim_end_matches('=').to_owned();
        if !key.is_empty() && BASE64_URL_SAFE_NO_PAD.decode(&key).is_ok() {
            return Ok(Secret(key));
        }
        Err(Wrong::new(format!("holds no key in base64url: `{}`", path.display()))
            .hint("write the key as the authority gave it to you, in one line"))
    });
    match key {
        Ok(key) => Some(Binding { key_id, key }),
        Err(wrong) => {
            reader.refuse(section, "key_file", given, wrong);
            None
        }
    }
}

impl Setting for Challenge {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Challenge, Wrong> {
        word(
            value,
            &[Challenge::Http01, Challenge::TlsAlpn01]
                .map(|challenge| (challenge.as_str(), challenge)),
        )
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.as_str())
    }
}
