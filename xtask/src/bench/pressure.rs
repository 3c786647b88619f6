//! More than there is room for: attackers without number, and an origin that is too small.

use super::load::measure;
use super::options::Depth;
use super::report::{Against, Bar, Figure, Report, note, real};
use super::servers::{Running, Setup, Wire};
use super::stage::Stage;

/// Hits a second of honest clients.
const HONEST_RATE: &str = "4000";
const ATTACKERS: u32 = 1_000_000;
/// Requests a second of the attackers, each from an address that has not asked for long.
const ATTACK_RATE: u32 = 20_000;
/// An honest client of 64 sends 63 a second.
const RATE_LIMIT: &str = "[admit]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\n\
                          [rate.each]\nrequests = 100\n";
const MIB: f64 = 1024.0 * 1024.0;

/// What a request takes of the small origin: it completes 200 a second.
const WORK_MS: u32 = 5;
const OVERLOAD_PERCENT: u32 = 300;
const OVERLOAD_SECONDS: u64 = 60;

/// A million addresses ask once each while honest clients go on.
pub(super) fn attack(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("attack") {
        return Ok(());
    }
    let is_quick = stage.options.depth == Depth::Quick;
    let attackers = if is_quick { ATTACKERS / 10 } else { ATTACKERS };
    note(&format!("attack: {attackers} addresses against a rate limit"));
    let subject = stage.options.subject;
    let setup = Setup {
        more: RATE_LIMIT.to_owned(),
        of_route: "rates = [\"each\"]\n".to_owned(),
        ..Setup::of(subject, Wire::Plain)
    };
    let server = Running::start(stage, &setup)?;
    let port = server.port.to_string();
    let (addresses, rate) = (attackers.to_string(), ATTACK_RATE.to_string());
    let open = |seconds: &str, attack_rate: &str| {
        let args = ["open", "--port", &port, "--path", "/1k", "--rate", HONEST_RATE];
        let more = ["--seconds", seconds, "--attackers", &addresses, "--attack-rate", attack_rate];
        measure(stage, &[&args[..], &more[..]].concat())?.all_well()
    };
    // The first second brings pools and buffers, which no attacker is charged for.
    open("1", &rate)?;
    let calm = open("6", "0")?;
    let before = server.memory()?;
    let seconds = (attackers / ATTACK_RATE).to_string();
    let under = open(&seconds, &rate)?;
    let grown = real(server.memory()?.saturating_sub(before)) / MIB;
    if under.value("attack_requests")? < f64::from(attackers) * 0.99 {
        return Err("not every attacker came".to_owned());
    }
    let work = "memory for 1,000,000 attacking addresses";
    let mut figure = Figure::new("attack", work, subject, "MiB", vec![grown]);
    figure.detail = format!("{attackers} addresses, {ATTACK_RATE} requests a second");
    report.add(figure, &[Bar::AtMost { most: 64.0, against: Against::Nothing }]);
    let (calm, under) = (calm.value("p99_us")?, under.value("p99_us")?);
    let work = "p99 of honest clients beside them";
    let mut figure = Figure::new("attack-honest", work, subject, "x", vec![under / calm]);
    figure.detail = format!("{calm:.0} µs without, {under:.0} µs beside");
    report.add(figure, &[Bar::AtMost { most: 1.5, against: Against::Nothing }]);
    Ok(())
}

/// An origin is offered three times what it can do, with adaptive throttling and without.
pub(super) fn overload(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("overload") {
        return Ok(());
    }
    let is_quick = stage.options.depth == Depth::Quick;
    let seconds = if is_quick { OVERLOAD_SECONDS / 4 } else { OVERLOAD_SECONDS };
    note(&format!("overload: an origin at {OVERLOAD_PERCENT} % of its capacity for {seconds} s"));
    let subject = stage.options.subject;
    let capacity = 1000 / WORK_MS;
    let offered = (capacity * OVERLOAD_PERCENT / 100).to_string();
    let without = Setup {
        of_origin: "throttle_factor = \"off\"\n".to_owned(),
        ..Setup::of(subject, Wire::Plain)
    };
    for (setup, is_subject) in [(Setup::of(subject, Wire::Plain), true), (without, false)] {
        let server = Running::start(stage, &setup)?;
        let port = server.port.to_string();
        let open = |seconds: &str, more: &[&str]| {
            let args = ["open", "--port", &port, "--path", "/1k", "--rate", HONEST_RATE];
            let args = [&args[..], &["--seconds", seconds], more].concat();
            measure(stage, &args)?.all_well()
        };
        let calm = open("6", &[])?.value("p99_us")?;
        let path = format!("/work?ms={WORK_MS}");
        let more = ["--miss-rate", &offered, "--miss-path", &path];
        let busy = open(&seconds.to_string(), &more)?;
        let completed = busy.value("miss_requests")? - busy.value("miss_failed")?;
        let share = 100.0 * completed / (f64::from(capacity) * real(seconds));
        let (work, bars): (_, &[Bar]) = if is_subject {
            (
                "an origin at 300 %: what it completes of its capacity",
                &[Bar::AtLeast { least: 90.0 }],
            )
        } else {
            ("the same without throttling", &[])
        };
        let case = if is_subject { "overload" } else { "overload-off" };
        let mut figure = Figure::new(case, work, subject, "%", vec![share]);
        figure.detail = format!("{:.0} requests offered", busy.value("miss_requests")?);
        report.add(figure, bars);
        if is_subject {
            let hits = busy.value("p99_us")?;
            let work = "p99 of hits beside an origin at 300 %";
            let mut figure = Figure::new("overload-hits", work, subject, "x", vec![hits / calm]);
            figure.detail = format!("{calm:.0} µs without, {hits:.0} µs beside");
            report.add(figure, &[Bar::AtMost { most: 1.5, against: Against::Nothing }]);
        }
    }
    Ok(())
}
