//! `split` of a route: shares of its requests for other origins.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Wrong, suggest};
use super::reader::{Given, Reader, Section};
use super::setting::{Setting, word, written};
use crate::config::origin::Origin;
use crate::config::route::{
    self, ALL_PARTS, Action, PARTS_OF_PERCENT, STICKY_COOKIE, Split, Sticky,
};

const HINT: &str = "write `{ canary = 5 }`: percent of the requests, from 0 to 100";

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    action: &Action,
    origins: &[Arc<Origin>],
) -> Option<Split> {
    let sticky = sticky(reader, section);
    let (given, entries) = reader.entries(section, "split", HINT)?;
    let Action::Forward(own) = action else {
        let wrong = Wrong::new("has no effect on a route that asks no origin");
        reader.refuse(section, "split", given, wrong.hint("leave it out, or write `origin`"));
        return None;
    };
    let mut shares = Vec::new();
    for (name, at, entry) in entries {
        match share(name, at, entry, own, origins) {
            Ok(parts) => shares.push((name.to_owned(), parts)),
            Err(wrong) => reader.refuse(section, "split", given, wrong),
        }
    }
    let sum: u32 = shares.iter().map(|(_, parts)| parts).sum();
    if sum > ALL_PARTS {
        let percent = route::percent(sum);
        let wrong = Wrong::new(format!("gives away more than there is: {percent} percent"));
        let hint = format!("what is left of 100 goes to `origin`, here `{own}`");
        reader.refuse(section, "split", given, wrong.hint(hint));
    }
    (!shares.is_empty()).then_some(Split { shares, sticky })
}

fn share(
    name: &str,
    at: usize,
    entry: Given<'_>,
    own: &str,
    origins: &[Arc<Origin>],
) -> Result<u32, Wrong> {
    let names = || origins.iter().map(|origin| origin.name.as_str());
    if name == own {
        let wrong = Wrong::new(format!("names the route's own origin: `{name}`"));
        return Err(wrong.hint("it has what the others leave of 100 percent").at(at));
    }
    if !names().any(|known| known == name) {
        let wrong = Wrong::new(format!("names no origin: `{name}`"));
        return Err(wrong.hint(suggest(name, names())).at(at));
    }
    parts(entry.value).ok_or_else(|| {
        let got = written(entry.value.get_ref());
        let at = entry.value.span().start;
        Wrong::new(format!("has no usable share for `{name}`: `{got}`")).hint(HINT).at(at)
    })
}

/// Percent as parts of [`ALL_PARTS`].
fn parts(value: &Spanned<DeValue<'_>>) -> Option<u32> {
    let is_number = matches!(value.get_ref(), DeValue::Float(_) | DeValue::Integer(_));
    let percent = written(value.get_ref()).parse::<f64>().ok();
    let percent = percent.filter(|n| is_number && (0.0..=100.0).contains(n))?;
    // Two digits behind the point are kept; more would be lost without a word.
    let parts = percent * f64::from(PARTS_OF_PERCENT);
    (0..=ALL_PARTS).find(|whole| (f64::from(*whole) - parts).abs() < 1e-6)
}

/// A share by itself.
pub(super) struct Percent(pub(super) u32);

impl Setting for Percent {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Percent, Wrong> {
        parts(value).map(Percent).ok_or_else(|| {
            Wrong::new(format!("is no usable share: `{}`", written(value.get_ref())))
                .hint("write percent, from 0 to 100, such as `12.5`")
        })
    }

    fn show(&self) -> String {
        route::percent(self.0).to_string()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cookie,
    Address,
    Off,
}

const KINDS: [(&str, Kind); 3] =
    [("cookie", Kind::Cookie), ("address", Kind::Address), ("off", Kind::Off)];

impl Setting for Kind {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Kind, Wrong> {
        word(value, &KINDS)
    }

    fn show(&self) -> String {
        let word = KINDS.iter().find(|(_, kind)| kind == self).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }
}

fn sticky<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Sticky {
    let kind = reader.get(section, "sticky", Kind::Cookie);
    let name = STICKY_COOKIE.to_owned();
    let name = reader.get_where(section, "sticky_cookie", name, |name: &String| {
        // RFC 6265 §4.1.1: a token.
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(is_token) {
            return Ok(());
        }
        Err(Wrong::new(format!("is no name of a cookie: `{name}`")).hint("write `forebay-split`"))
    });
    match kind {
        Kind::Cookie => Sticky::Cookie(name),
        Kind::Address => Sticky::Address,
        Kind::Off => Sticky::Off,
    }
}
