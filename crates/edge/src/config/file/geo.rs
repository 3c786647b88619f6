//! `[geo]`, and what other sections may ask of it.

use std::path::PathBuf;

use http::{HeaderName, StatusCode};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::reader::{Reader, Section};
use super::reference::GEO;
use super::setting::{Setting, text, written};
use super::terms::Host;
use crate::config::geo::Geo;
use crate::config::route::{Action, HostRule, Route};
use crate::exchange::{Country, VIEWER};

const DATABASE_HINT: &str =
    "name a database:\n\n  [geo]\n  database = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"";
const COUNTRY_HINT: &str = "write two capital letters of ISO 3166, such as `DE`";

/// `key_geo = "country"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByCountry;

pub(super) fn read(reader: &mut Reader<'_>) -> Geo {
    let section = &reader.section(&GEO);
    let databases = databases(reader, section);
    let domains = domains(reader, section);
    Geo { databases, domains }
}

fn databases<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<PathBuf> {
    let Some(given) = section.given("database") else {
        // Noted with its default.
        reader.get::<Option<PathBuf>>(section, "database", None);
        return Vec::new();
    };
    reader.note_given(section, "database", given);
    let mut databases = Vec::new();
    for item in given.items() {
        match PathBuf::read(item.value) {
            Ok(path) => databases.push(reader.path(item, &path)),
            Err(wrong) => reader.refuse(section, "database", item, wrong),
        }
    }
    databases
}

fn domains<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<(Country, String)> {
    const KEY: &str = "domains";
    const HINT: &str = "write `{ DE = \"shop.de\", FR = \"shop.fr\" }`";
    let Some((_, entries)) = reader.entries(section, KEY, HINT) else { return Vec::new() };
    let mut domains = Vec::new();
    for (code, at, entry) in entries {
        let country = code.parse().map_err(|_| {
            Wrong::new(format!("is not a country: `{code}`")).hint(COUNTRY_HINT).at(at)
        });
        let host = Host::read(entry.value).and_then(|host| match host.0 {
            Some(HostRule::Exact(host)) => Ok(host),
            _ => Err(Wrong::new("names more than one host").hint(HINT)),
        });
        match (country, host) {
            (Ok(country), Ok(host)) => domains.push((country, host)),
            (Err(wrong), _) | (_, Err(wrong)) => reader.refuse(section, KEY, entry, wrong),
        }
    }
    domains
}

/// Who routes or keys by country needs to know it; and what depends on it is not for ever.
pub(super) fn check_used(reader: &mut Reader<'_>, geo: &Geo, routes: &[Route]) {
    if geo.databases.is_empty() && !geo.domains.is_empty() {
        let wrong = Wrong::new("`geo.domains` needs to know which address is where");
        reader.refuse_all(wrong.hint(DATABASE_HINT));
    }
    for route in routes {
        let wrong = if geo.databases.is_empty() { unknown(route) } else { misled(route) };
        if let Some(wrong) = wrong {
            reader.refuse_all(wrong);
        }
    }
}

fn unknown(route: &Route) -> Option<Wrong> {
    let policy = route.policy.as_ref().filter(|policy| policy.key.by_country);
    let what = match policy {
        _ if !route.countries.is_empty() => format!("route `{}` names countries", route.name),
        Some(policy) => {
            format!("route `{}` has a policy that keys by country: `{}`", route.name, policy.name)
        }
        None => return None,
    };
    let wrong = Wrong::new(format!("{what}, and nothing says which address is where"));
    Some(wrong.hint(DATABASE_HINT))
}

fn misled(route: &Route) -> Option<Wrong> {
    let name = &route.name;
    if let Some(field) = told_by_client(route) {
        let wrong = format!("route `{name}` goes by a field that no client is believed: `{field}`");
        return Some(Wrong::new(wrong).hint(
            "write `countries = [\"DE\"]` in the route, or `key_geo = \"country\"` in its policy",
        ));
    }
    let is_permanent = |status: StatusCode| matches!(status.as_u16(), 301 | 308);
    if route.countries.is_empty()
        || !matches!(route.action, Action::Redirect(status, _) if is_permanent(status))
    {
        return None;
    }
    let wrong = format!(
        "route `{name}` redirects some countries for good, and browsers keep that when their users travel"
    );
    Some(Wrong::new(wrong).hint("write `redirect = { to = \"…\", status = 302 }`"))
}

/// A field that says where a client is and that the route or its policy decides by: with a database such
/// fields come from us, and only towards the origin.
fn told_by_client(route: &Route) -> Option<&str> {
    let asked = route.fields.iter().map(|asked| asked.name.as_str());
    let key = route.policy.as_ref().map(|policy| &policy.key);
    let keyed = key.iter().flat_map(|key| key.fields.iter().chain(&key.inform));
    asked.chain(keyed.map(HeaderName::as_str)).find(|name| name.starts_with(VIEWER))
}

impl Setting for ByCountry {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<ByCountry, Wrong> {
        const HINT: &str = "write `country` or `off`";
        const FINER: [&str; 9] = [
            "region",
            "country+region",
            "city",
            "postal-code",
            "metro-code",
            "latitude",
            "longitude",
            "location",
            "time-zone",
        ];
        match text(value, "a part of the key", HINT)? {
            "country" => Ok(ByCountry),
            finer if FINER.contains(&finer) => {
                let wrong =
                    format!("is too fine for a key, each would have its own copy: `{finer}`");
                Err(Wrong::new(wrong)
                    .hint("key by `country`; a route with `policy = \"pass\"` is shown everything"))
            }
            _ => {
                Err(Wrong::new(format!("is not known: `{}`", written(value.get_ref()))).hint(HINT))
            }
        }
    }

    fn show(&self) -> String {
        "\"country\"".into()
    }
}

impl Setting for Country {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Country, Wrong> {
        let text = text(value, "a country", COUNTRY_HINT)?;
        text.parse()
            .map_err(|_| Wrong::new(format!("is not a country: `{text}`")).hint(COUNTRY_HINT))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.as_str())
    }
}
