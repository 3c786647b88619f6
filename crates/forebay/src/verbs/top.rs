//! `forebay top`: what is asked for most, and by whom.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use forebay_edge::view::{By, TopRow, TopView, What};
use forebay_signals::clock;
use serde_json::Value;

use super::status::{bytes, rate, redraw};
use crate::cli::Client;
use crate::client;
use crate::report::{self, Problem};

/// Time between two looks of the live view.
const EVERY: Duration = Duration::from_secs(1);

/// `forebay top`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay top keys                 the URLs that are asked for most; a live view, ends with Ctrl-C
  forebay top keys --by misses     those that the application has the most work with
  forebay top clients --by bytes   who takes the most
  forebay top routes --once        once, as text
  forebay top keys --json          for programs

What is counted is the last minute. Routes are counted exactly; of keys and clients up to fifty
requests a second are looked at on each core, and `±` says by how much a count may be off.")]
pub(crate) struct Top {
    /// Of what
    #[arg(value_name = "routes|keys|clients")]
    pub(crate) of: TopOf,
    /// Sort by
    #[arg(long, value_name = "requests|bytes|misses", default_value = "requests")]
    pub(crate) by: TopBy,
    /// Rows at most
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) rows: u16,
    /// Print once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print JSON, once
    #[arg(long)]
    pub(crate) json: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// Of what the busiest are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOf {
    /// Routes.
    Routes,
    /// URLs, as the store knows them.
    Keys,
    /// Addresses.
    Clients,
}

/// What they are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopBy {
    /// Requests.
    Requests,
    /// Bytes of content.
    Bytes,
    /// Requests that the origin was asked for.
    Misses,
}

/// Shows the busiest of the forebay behind the admin listener.
pub(crate) fn run(asked: &Top) -> Result<ExitCode, Problem> {
    let of = match asked.of {
        TopOf::Routes => "routes",
        TopOf::Keys => "keys",
        TopOf::Clients => "clients",
    };
    let by = match asked.by {
        TopBy::Requests => "requests",
        TopBy::Bytes => "bytes",
        TopBy::Misses => "misses",
    };
    let admin = &asked.client.admin;
    let path = format!("/top/{of}?by={by}&rows={}", asked.rows);
    if asked.json {
        let view: Value = client::read(admin, &path)?;
        report::data(&format!("{view:#}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let is_live = !asked.once && std::io::stdout().is_terminal();
    let mut is_first = true;
    loop {
        let view: TopView = client::read(admin, &path)?;
        let text = screen(&view);
        if !is_live {
            report::data(&text);
            return Ok(ExitCode::SUCCESS);
        }
        redraw(&text, is_first);
        is_first = false;
        clock::block_for(EVERY);
    }
}

fn screen(view: &TopView) -> String {
    let mut out = String::new();
    write_screen(&mut out, view).expect("writing to a String does not fail");
    out
}

fn write_screen(out: &mut String, view: &TopView) -> std::fmt::Result {
    let (what, name) = match view.what {
        What::Routes => ("routes", "route"),
        What::Keys => ("keys", "key"),
        What::Clients => ("clients", "client"),
    };
    let by = match view.by {
        By::Requests => "requests",
        By::Bytes => "bytes",
        By::Misses => "misses",
    };
    let seconds = view.window_s;
    write!(out, "top {what} by {by} · last {seconds} s · {} requests", view.requests)?;
    let is_exact = view.what == What::Routes || view.looked_at >= view.requests;
    if !is_exact {
        write!(out, ", counted from {} of them", view.looked_at)?;
    }
    writeln!(out, "\n")?;
    writeln!(
        out,
        "{:>7} {:>8} {:>7} {:>8} {:>10} {:>7}  {name}",
        "share", "req/s", "hit %", "miss/s", "bytes/s", "±"
    )?;
    for row in &view.rows {
        write_row(out, view, row)?;
    }
    if view.rows.is_empty() {
        writeln!(out, "nothing in this time")?;
    }
    Ok(())
}

fn write_row(out: &mut String, view: &TopView, row: &TopRow) -> std::fmt::Result {
    let hits = (100 * row.hits).checked_div(row.requests);
    writeln!(
        out,
        "{:>7} {:>8} {:>7} {:>8} {:>10} {:>7}  {}",
        format!("{:.1} %", 100.0 * row.share),
        a_second(row.requests, view),
        hits.map_or_else(|| "-".into(), |hits| hits.to_string()),
        a_second(row.misses, view),
        bytes(whole_a_second(row.bytes, view)),
        error(view, row),
        row.name,
    )
}

/// By how much the count may be off, as a share of it.
fn error(view: &TopView, row: &TopRow) -> String {
    let count = match view.by {
        By::Requests => row.requests,
        By::Bytes => row.bytes,
        By::Misses => row.misses,
    };
    match (100 * u128::from(row.error)).checked_div(u128::from(count)) {
        _ if row.error == 0 => "exact".into(),
        None | Some(100..) => "100 %".into(),
        Some(percent) => format!("{} %", percent.max(1)),
    }
}

fn a_second(count: u64, view: &TopView) -> String {
    // Tenths are kept: a count a minute shall show.
    rate(count, view.window_s.max(1))
}

fn whole_a_second(count: u64, view: &TopView) -> u64 {
    count / view.window_s.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_says_how_far_its_counts_are_to_be_trusted() {
        let row = |name: &str, requests, error| TopRow {
            name: name.into(),
            share: 0.25,
            requests,
            hits: requests / 2,
            misses: requests / 4,
            bytes: requests * 2_048,
            error,
        };
        let mut view = TopView {
            what: What::Keys,
            by: By::Requests,
            window_s: 60,
            requests: 24_000,
            looked_at: 5_000,
            rows: vec![
                row("http://shop.example/a", 6_000, 600),
                row("http://shop.example/b", 3, 9),
            ],
        };
        let text = screen(&view);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "top keys by requests · last 60 s · 24000 requests, counted from 5000 of them"
        );
        let head = "  share    req/s   hit %   miss/s    bytes/s       ±  key";
        assert_eq!(lines[2], head);
        let first = " 25.0 %      100      50       25    200 KiB    10 %  http://shop.example/a";
        assert_eq!(lines[3], first);
        assert!(lines[4].contains("  100 %  http"), "{text}");
        view.looked_at = 24_000;
        view.rows = vec![row("x", 10, 0)];
        let text = screen(&view);
        assert!(!text.contains("counted from") && text.contains("  exact  x"), "{text}");
        view.rows.clear();
        assert!(screen(&view).ends_with("nothing in this time\n"));
    }
}
