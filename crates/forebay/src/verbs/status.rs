//! `forebay status`: is it serving, what does the cache do, which origin is sick.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use forebay_edge::acme::Standing;
use forebay_edge::mirror::MirrorView;
use forebay_edge::origin::{LastError, ServerView};
use forebay_edge::view;
use forebay_signals::clock;

use crate::admin::Status;
use crate::client;
use crate::jobs::beside::View as Worker;
use crate::report::{self, Problem};

/// Time between two looks of the live view.
const EVERY: Duration = Duration::from_secs(1);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Again and again, in place.
    Live,
    /// Once, as text.
    Once,
    /// Once, as JSON.
    Json,
}

/// Shows the status of the forebay behind `admin`.
pub(crate) fn run(admin: &str, show: Show) -> Result<ExitCode, Problem> {
    if show == Show::Json {
        let status: serde_json::Value = client::read(admin, "/status")?;
        report::data(&format!("{status:#}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut before: Option<Status> = None;
    loop {
        let now: Status = client::read(admin, "/status")?;
        let text = screen(&now, before.as_ref());
        let is_live = show == Show::Live && std::io::stdout().is_terminal();
        if !is_live {
            report::data(&text);
            return Ok(ExitCode::SUCCESS);
        }
        redraw(&text, before.is_none());
        before = Some(now);
        clock::block_for(EVERY);
    }
}

/// Puts a screen in place of the one before.
pub(super) fn redraw(text: &str, is_first: bool) {
    // Home, text with the rest of each line cleared, the rest of the screen cleared. Lines that are too
    // long are cut at the edge of the screen, or each of them would push the others down.
    let text = text.replace('\n', "\x1b[K\n");
    let clear = if is_first { "\x1b[2J" } else { "" };
    report::data(&format!("{clear}\x1b[H\x1b[?7l{text}\x1b[?7h\x1b[J"));
}

/// One screen. With `before`, counts per second; without, since the start.
fn screen(whole: &Status, before: Option<&Status>) -> String {
    let (now, before) = (&whole.edge, before.map(|it| &it.edge));
    let mut out = String::new();
    let seconds = before.map_or(now.uptime_s.max(1), |_| EVERY.as_secs());
    write_head(&mut out, now).expect("writing to a String does not fail");
    write_routes(&mut out, now, before, seconds).expect("writing to a String does not fail");
    write_rates(&mut out, now, before, seconds).expect("writing to a String does not fail");
    write_doormen(&mut out, now, before, seconds).expect("writing to a String does not fail");
    write_mirrors(&mut out, now, before, seconds).expect("writing to a String does not fail");
    write_origins(&mut out, now).expect("writing to a String does not fail");
    write_jobs(&mut out, whole.jobs.as_ref()).expect("writing to a String does not fail");
    write_changes(&mut out, now).expect("writing to a String does not fail");
    out
}

fn write_head(out: &mut String, now: &view::Status) -> std::fmt::Result {
    let cache = &now.cache;
    let used = 100 * cache.bytes / cache.limit_bytes.max(1);
    writeln!(out, "forebay {} · {} for {}", now.version, now.state, span(now.uptime_s))?;
    writeln!(
        out,
        "{} · {} in flight · {}, {} of {} ({used} %)",
        count(now.connections.unsigned_abs(), "connection"),
        count(now.in_flight as u64, "request"),
        count(cache.objects, "object"),
        bytes(cache.bytes),
        bytes(cache.limit_bytes),
    )?;
    writeln!(out, "listening on {}", now.listening.join(", "))?;
    if !now.maintenance.is_empty() {
        writeln!(out, "IN MAINTENANCE: {}", now.maintenance.join(", "))?;
    }
    for overdue in now.certificates.iter().filter(|certificate| certificate.is_overdue).take(5) {
        writeln!(out, "WARNING: {}", overdue.sentence())?;
    }
    write_orders(out, now)?;
    if now.log_lines_lost > 0 {
        writeln!(out, "WARNING: {} lines of the access log were lost", now.log_lines_lost)?;
    }
    writeln!(out)
}

/// What an authority did not give us, unless it is said above.
fn write_orders(out: &mut String, now: &view::Status) -> std::fmt::Result {
    let is_said = |of: &&Standing| {
        now.certificates.iter().any(|known| known.is_overdue && of.name() == known.name)
    };
    let failed = now.acme.iter().filter(|of| !is_said(of)).filter_map(Standing::sentence);
    for sentence in failed.take(5) {
        writeln!(out, "WARNING: {sentence}")?;
    }
    Ok(())
}

fn write_routes(
    out: &mut String,
    now: &view::Status,
    before: Option<&view::Status>,
    seconds: u64,
) -> std::fmt::Result {
    writeln!(
        out,
        "{:<18} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9}",
        "route", "req/s", "hit %", "stale", "miss", "pass", "5xx", "p50", "p99"
    )?;
    for route in &now.routes {
        let old = before.and_then(|b| b.routes.iter().find(|old| old.name == route.name));
        let requests = since(route.requests, old.map(|o| o.requests));
        let hits = since(route.hits + route.stale, old.map(|o| o.hits + o.stale));
        writeln!(
            out,
            "{:<18} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9}",
            clip(&route.name, 18),
            rate(requests, seconds),
            (100 * hits).checked_div(requests).map_or_else(|| "-".into(), |p| p.to_string()),
            since(route.stale, old.map(|o| o.stale)),
            since(route.misses + route.revalidated, old.map(|o| o.misses + o.revalidated)),
            since(route.passes, old.map(|o| o.passes)),
            since(route.errors, old.map(|o| o.errors)),
            micros(route.p50_us),
            micros(route.p99_us),
        )?;
    }
    writeln!(out)
}

fn write_rates(
    out: &mut String,
    now: &view::Status,
    before: Option<&view::Status>,
    seconds: u64,
) -> std::fmt::Result {
    if now.rates.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<18} {:>8} {:>9}", "rate", "in/s", "refused")?;
    for limit in &now.rates {
        let old = before.and_then(|b| b.rates.iter().find(|old| old.name == limit.name));
        let only_counts = if limit.enforces { "" } else { "  not enforced" };
        writeln!(
            out,
            "{:<18} {:>8} {:>9}{only_counts}",
            clip(&limit.name, 18),
            rate(since(limit.allowed, old.map(|o| o.allowed)), seconds),
            since(limit.refused, old.map(|o| o.refused)),
        )?;
    }
    writeln!(out)
}

fn write_doormen(
    out: &mut String,
    now: &view::Status,
    before: Option<&view::Status>,
    seconds: u64,
) -> std::fmt::Result {
    if now.forward_auths.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<18} {:>8} {:>9} {:>9} {:>9}",
        "forward_auth", "in/s", "away", "failed", "asked"
    )?;
    for one in &now.forward_auths {
        let old = before.and_then(|b| b.forward_auths.iter().find(|old| old.name == one.name));
        let fails = if one.is_well { "" } else { "  FAILS" };
        writeln!(
            out,
            "{:<18} {:>8} {:>9} {:>9} {:>9}{fails}",
            clip(&one.name, 18),
            rate(since(one.let_in, old.map(|o| o.let_in)), seconds),
            since(one.turned_away, old.map(|o| o.turned_away)),
            since(one.failed, old.map(|o| o.failed)),
            since(one.asked, old.map(|o| o.asked)),
        )?;
    }
    writeln!(out)
}

fn write_mirrors(
    out: &mut String,
    now: &view::Status,
    before: Option<&view::Status>,
    seconds: u64,
) -> std::fmt::Result {
    if now.mirrors.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<32} {:>8} {:>9} {:>9} {:>9}",
        "mirror", "copies/s", "failed", "dropped", "in flight"
    )?;
    for one in &now.mirrors {
        let is_same = |old: &&MirrorView| old.route == one.route;
        let old = before.and_then(|before| before.mirrors.iter().find(is_same));
        writeln!(
            out,
            "{:<32} {:>8} {:>9} {:>9} {:>9}",
            clip(&format!("{} to {}", one.route, one.origin), 32),
            rate(since(one.answered, old.map(|o| o.answered)), seconds),
            since(one.failed, old.map(|o| o.failed)),
            since(one.dropped, old.map(|o| o.dropped)),
            one.in_flight,
        )?;
    }
    writeln!(out)
}

fn write_origins(out: &mut String, now: &view::Status) -> std::fmt::Result {
    writeln!(
        out,
        "{:<32} {:<10} {:>9} {:>9}  last error",
        "origin", "state", "in flight", "requests"
    )?;
    for origin in &now.origins {
        let sheds = origin
            .throttle
            .as_ref()
            .and_then(|throttle| Some((throttle, throttle.sheds.as_ref()?)));
        if let Some((throttle, up_to)) = sheds {
            writeln!(
                out,
                "{} is overloaded: sheds up to `{up_to}` for {}, takes {} of {} requests",
                origin.name,
                span(throttle.for_s),
                throttle.accepted,
                throttle.asked,
            )?;
        }
        for server in &origin.servers {
            writeln!(
                out,
                "{:<32} {:<10} {:>9} {:>9}  {}",
                clip(&format!("{} {}", origin.name, server.address), 32),
                state(server),
                server.in_flight,
                server.requests,
                server.last_error.as_ref().map_or_else(|| "-".into(), error),
            )?;
        }
    }
    writeln!(out)
}

fn write_jobs(out: &mut String, jobs: Option<&Worker>) -> std::fmt::Result {
    let Some(of) = jobs else { return Ok(()) };
    writeln!(
        out,
        "jobs {} · {} of {} busy · {} ran, {} failed, {} dead · {} from {}",
        of.state,
        of.busy,
        of.concurrency,
        of.processed,
        of.failed,
        of.dead,
        of.queues.join(", "),
        of.store,
    )?;
    if let Some(trouble) = &of.trouble {
        writeln!(out, "WARNING: jobs: {trouble}")?;
    }
    writeln!(out)
}

fn write_changes(out: &mut String, now: &view::Status) -> std::fmt::Result {
    if let Some(mark) = &now.mark {
        writeln!(out, "{}, by {}, {}", mark.what, mark.who, ago(mark.at_ms))?;
    }
    if !now.journal.is_empty() {
        writeln!(out, "newest changes")?;
    }
    for entry in now.journal.iter().take(5) {
        let at = i64::try_from(entry.at_ms)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let at = at.map_or_else(|| "-".into(), |at| at.strftime("%H:%M:%S").to_string());
        writeln!(out, "  {at}  {:<8} {}", entry.who, entry.what)?;
    }
    Ok(())
}

fn state(server: &ServerView) -> &str {
    if server.is_healthy { "well" } else { "sick" }
}

/// What went wrong, and how long ago: a server that is well again keeps its last error.
fn error(error: &LastError) -> String {
    format!("{}: {}", ago(error.at_ms), error.what)
}

fn ago(at_ms: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms);
    let ago = clock::wall().duration_since(at).unwrap_or_default();
    format!("{} ago", span(ago.as_secs()))
}

/// What a counter has grown by since the look before.
fn since(new: u64, old: Option<u64>) -> u64 {
    new.saturating_sub(old.unwrap_or(0))
}

fn count(number: u64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// Whole numbers from ten on; below, a visitor now and then shall show.
pub(super) fn rate(requests: u64, seconds: u64) -> String {
    let tenths = 10 * requests / seconds;
    if tenths >= 100 {
        return (tenths / 10).to_string();
    }
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        _ => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
    }
}

pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{} KiB", n >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", n >> 20),
        _ => format!("{}.{} GiB", n >> 30, (n >> 20) % 1024 * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_now_and_then_shows_and_one_thing_is_one() {
        assert_eq!(
            [rate(3, 10), rate(99, 10), rate(100, 10), rate(0, 1)],
            ["0.3", "9.9", "10", "0.0"]
        );
        assert_eq!([count(1, "object"), count(2, "object")], ["1 object", "2 objects"]);
    }

    #[test]
    fn an_old_error_says_how_old_it_is() {
        let at = clock::wall() - Duration::from_secs(130);
        let at_ms = u64::try_from(at.duration_since(UNIX_EPOCH).expect("later").as_millis());
        let text = error(&LastError { at_ms: at_ms.expect("fits"), what: "no connection".into() });
        assert_eq!(text, "2 min 10 s ago: no connection");
    }
}
