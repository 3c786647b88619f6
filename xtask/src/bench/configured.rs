//! What operators may set, all of it set and none of it in use: what that costs a hit.

use super::instructions::per_hit;
use super::report::{Against, Bar, Figure, Report, note};
use super::servers::{Setup, Wire};
use super::stage::Stage;
use crate::cargo::root;

/// Before the origin: sections, and routes that no request of the case takes.
const SECTIONS: &str = r#"
[maintenance]
page = "PAGE"
allow = ["10.0.0.0/8"]
serve_hits = true

[purge]
allow = ["10.0.0.0/8"]

[rate.login]
requests = 10
per = "1m"

[policy.page]
extends = "html"
stale_if_overloaded = "1h"

[forward_auth.sso]
origin = "canary"
path = "/verify"
take = ["x-user", "x-groups"]

[[origin]]
name = "canary"
servers = ["http://127.0.0.1:9"]

[[route]]
name = "login"
path = "/login"
origin = "app"
rates = ["login"]

[[route]]
name = "staging"
hosts = ["staging.example"]
origin = "app"
basic_auth = { users = "USERS" }
forward_auth = "sso"

[[route]]
name = "beta"
path = "/beta/*"
origin = "app"
split = { canary = 5 }
mirror = { origin = "canary" }

[[route]]
name = "files"
path = "/files/*"
files = "FOLDER"
"#;
/// Of the origin that the case's hits come from.
const OF_ORIGIN: &str = "balance = \"hash\"\nslow_start = \"30s\"\nthrottle_factor = 1.5\n";
/// Of the route that they take.
const OF_ROUTE: &str = "policy = \"page\"\nsendfile = { \"/protected/\" = \"FOLDER\" }\n";
/// For `[listen]`.
const OF_LISTEN: &str = "proxy_protocol = [\"10.0.0.0/8\"]\n";
/// A user and a hash of bcrypt, of no password that anybody has.
const USERS: &str = "ada:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

/// User instructions of a hit with all of that, in those of a hit without.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("configured") {
        return Ok(());
    }
    note("configured: user instructions per hit, with everything set that is not in use");
    let subject = stage.options.subject;
    let plain = per_hit(stage, &Setup::of(subject, Wire::Plain), "plain")?;
    let all = per_hit(stage, &setup(stage)?, "configured")?;
    let work = "1 KB hit with everything configured but idle, user instructions";
    let mut figure = Figure::new("configured", work, subject, "x", vec![all / plain]);
    figure.detail = format!("{plain:.0} without, {all:.0} with it");
    report.add(figure, &[Bar::AtMost { most: 1.05, against: Against::Nothing }]);
    Ok(())
}

fn setup(stage: &Stage<'_>) -> Result<Setup, String> {
    let page = stage.write("maintenance.html", "<p>Back soon</p>\n")?;
    let users = stage.write("users.htpasswd", USERS)?;
    let folder = stage.folder.display().to_string();
    let filled = |text: &str| {
        text.replace("PAGE", &page).replace("USERS", &users).replace("FOLDER", &folder)
    };
    // The database of addresses that tests use, where it is at hand.
    let database = root().join("../shared/data/geo/GeoLite2-City-Test.mmdb");
    let geo = match database.canonicalize() {
        Ok(path) => format!("[geo]\ndatabase = \"{}\"\n", path.display()),
        Err(_) => String::new(),
    };
    Ok(Setup {
        more: format!("{geo}{}", filled(SECTIONS)),
        of_listen: OF_LISTEN.to_owned(),
        of_origin: OF_ORIGIN.to_owned(),
        of_route: filled(OF_ROUTE),
        ..Setup::of(stage.options.subject, Wire::Plain)
    })
}
