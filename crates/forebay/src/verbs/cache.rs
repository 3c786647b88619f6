//! `forebay cache`: why is this stored or not; take it out.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;

use forebay_edge::act::Why as Answer;
use serde_json::{Value, json};

use crate::cli::{Purge, Why};
use crate::client;
use crate::report::{self, Problem};

/// Explains what a request would meet.
pub(crate) fn why(asked: &Why) -> Result<ExitCode, Problem> {
    let question = json!({ "url": asked.url, "fields": asked.headers, "from": asked.from });
    if asked.json {
        let answer: Value = client::act(&asked.client.admin, "/cache/why", &question)?;
        report::data(&format!("{answer:#}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let answer: Answer = client::act(&asked.client.admin, "/cache/why", &question)?;
    report::data(&text(&answer));
    Ok(ExitCode::SUCCESS)
}

fn text(why: &Answer) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(out, "{name:<10} {value}").expect("writing to a String does not fail");
    };
    line("route", why.route.as_deref().unwrap_or("none"));
    line("policy", why.policy.as_deref().unwrap_or("none: every end-to-end field is forwarded"));
    if let Some(key) = &why.key {
        line("key", &key.replace('\n', " | "));
    }
    let list = |all: &[String]| if all.is_empty() { "-".into() } else { all.join(", ") };
    line("stripped", &list(&why.stripped));
    line("forwarded", &list(&why.forwarded));
    line("inform", &list(&why.informed));
    line("decision", &why.decision);
    if let Some(rule) = &why.rule {
        line("rule", rule);
    }
    line("because", &why.because);
    if let (Some(age), Some(ttl)) = (why.age_s, why.ttl_s) {
        line("age", &format!("{age} s"));
        line("ttl", &format!("{ttl} s"));
    }
    for part in &why.parts {
        line("part", part);
    }
    if !why.tags.is_empty() {
        line("tags", &why.tags.join(", "));
    }
    out
}

/// Removes what is stored, or makes it stale.
pub(crate) fn purge(asked: &Purge) -> Result<ExitCode, Problem> {
    let admin = &asked.client.admin;
    let question = |dry_run: bool| {
        json!({
            "urls": asked.urls,
            "prefixes": asked.prefixes,
            "hosts": asked.hosts,
            "tags": asked.tags,
            "everything": asked.everything,
            "soft": asked.soft,
            "dry_run": dry_run,
        })
    };
    if asked.dry_run {
        let counted: Value = client::act(admin, "/cache/purge", &question(true))?;
        return Ok(tell(asked, &counted, &format!("would be {}", asked.verb())));
    }
    if !asked.is_one_page() && !asked.yes {
        let counted: Value = client::act(admin, "/cache/purge", &question(true))?;
        if !std::io::stdin().is_terminal() {
            return Err(Problem::new("purging more than one address needs a yes")
                .hint("add `--yes`, or `--dry-run` to see how much it is"));
        }
        let does = if asked.soft { "make stale" } else { "purge" };
        if !report::confirm(&format!("{does} {} answers?", counted["purged"])) {
            report::say("nothing purged");
            return Ok(ExitCode::from(1));
        }
    }
    let done: Value = client::act(admin, "/cache/purge", &question(false))?;
    Ok(tell(asked, &done, asked.verb()))
}

impl Purge {
    fn is_one_page(&self) -> bool {
        let others = [&self.prefixes, &self.hosts, &self.tags];
        self.urls.len() == 1 && !self.everything && others.iter().all(|all| all.is_empty())
    }

    fn verb(&self) -> &'static str {
        if self.soft { "made stale" } else { "purged" }
    }
}

fn tell(asked: &Purge, answer: &Value, verb: &str) -> ExitCode {
    if asked.json {
        report::data(&format!("{answer:#}\n"));
    } else {
        report::data(&format!("{} {verb}\n", answer["purged"]));
    }
    ExitCode::SUCCESS
}
