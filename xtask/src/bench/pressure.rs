//! More than there is room for: attackers without number, and an origin that is too small.

use super::load::{Answers, measure};
use super::options::Depth;
use super::report::{Against, Bar, Figure, Report, median, note, real};
use super::servers::{Running, Setup, Wire};
use super::stage::Stage;

/// Hits a second of honest clients.
const HONEST_RATE: &str = "4000";
const ATTACKERS: u32 = 1_000_000;
/// Requests a second of the attackers, each from an address that has not asked for long.
const ATTACK_RATE: u32 = 20_000;
/// Without attackers and beside them in turn, so that what else the machine does is done to both.
const ATTACK_ROUNDS: u32 = 5;
/// Addresses of which each stays below the rate …
const KNOWN: u32 = 1_000;
/// … and of which each asks twice as often as it may.
const FLOODING: u32 = 100;
/// An honest client of 64 sends 63 a second.
const RATE_LIMIT: &str = "[admit]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\n\
                          [rate.each]\nrequests = 100\n";
const MIB: f64 = 1024.0 * 1024.0;

/// What a request takes of the small origin: it completes 200 a second.
const WORK_MS: u32 = 5;
const OVERLOAD_PERCENT: u32 = 300;
const OVERLOAD_SECONDS: u64 = 60;

/// A million addresses ask once each while honest clients go on. Beside those without attackers stand runs with as many
/// requests of few addresses: what they differ by is what the number of addresses costs.
pub(super) fn attack(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("attack") {
        return Ok(());
    }
    let is_quick = stage.options.depth == Depth::Quick;
    let each = if is_quick { ATTACKERS / 10 } else { ATTACKERS } / ATTACK_ROUNDS;
    note(&format!("attack: {} addresses against a rate limit", each * ATTACK_ROUNDS));
    let subject = stage.options.subject;
    let setup = Setup {
        more: RATE_LIMIT.to_owned(),
        of_route: "rates = [\"each\"]\n".to_owned(),
        ..Setup::of(subject, Wire::Plain)
    };
    let server = Running::start(stage, &setup)?;
    let mut beside = Beside::default();
    // The first of these brings pools and buffers, which no attacker is charged for.
    for addresses in [KNOWN, FLOODING] {
        honest(stage, &server, Attack { addresses, from: 0, rate: ATTACK_RATE, seconds: 1 })?;
    }
    let before = server.memory()?;
    for round in 0..ATTACK_ROUNDS {
        let run = |attack| honest(stage, &server, attack);
        let seconds = if is_quick { 1 } else { 4 };
        let nobody = Attack { addresses: 1, from: 0, rate: 0, seconds };
        let calm = run(nobody)?.value("served_p99_us")?;
        for (addresses, from, ratios) in [
            (KNOWN, 0, &mut beside.known),
            (FLOODING, 0, &mut beside.flooding),
            (ATTACKERS, round * each, &mut beside.attackers),
        ] {
            let seconds = if addresses == ATTACKERS { each / ATTACK_RATE } else { seconds };
            let answers = run(Attack { addresses, from, rate: ATTACK_RATE, seconds })?;
            let planned = f64::from(seconds * ATTACK_RATE);
            if answers.value("attack_requests")? < planned * 0.99 {
                return Err("not every attacker came".to_owned());
            }
            let served = answers.value("served_p99_us")?;
            ratios.push(served / calm);
            if addresses == ATTACKERS {
                beside.seen.push(answers.value("p99_us")?);
                beside.served.push(served);
            }
        }
        beside.calm.push(calm);
    }
    let grown = real(server.memory()?.saturating_sub(before)) / MIB;
    let work = "memory for 1,000,000 attacking addresses";
    let mut figure = Figure::new("attack", work, subject, "MiB", vec![grown]);
    figure.detail = format!("{} addresses, {ATTACK_RATE} requests a second", each * ATTACK_ROUNDS);
    report.add(figure, &[Bar::AtMost { most: 64.0, against: Against::Nothing }]);
    beside.report(stage, report);
    Ok(())
}

/// Who asks beside the honest ones.
#[derive(Clone, Copy)]
struct Attack {
    addresses: u32,
    from: u32,
    rate: u32,
    seconds: u32,
}

/// One run of honest clients.
fn honest(stage: &Stage<'_>, server: &Running<'_>, attack: Attack) -> Result<Answers, String> {
    let Attack { addresses, from, rate, seconds } = attack;
    let [addresses, from, rate, seconds, port] =
        [addresses, from, rate, seconds, server.port.into()].map(|number| number.to_string());
    let args = ["open", "--port", &port, "--path", "/1k", "--rate", HONEST_RATE];
    let more = ["--seconds", &seconds, "--attackers", &addresses, "--attackers-from", &from];
    let answers = measure(stage, &[&args[..], &more, &["--attack-rate", &rate]].concat())?;
    let answers = answers.all_well()?;
    match answers.value("unstamped")? {
        0.0 => Ok(answers),
        count => Err(format!("the kernel did not say when {count} answers came")),
    }
}

/// What honest clients wait beside others, round by round.
#[derive(Default)]
struct Beside {
    calm: Vec<f64>,
    served: Vec<f64>,
    /// The same with what the client adds.
    seen: Vec<f64>,
    attackers: Vec<f64>,
    known: Vec<f64>,
    flooding: Vec<f64>,
}

impl Beside {
    fn report(self, stage: &Stage<'_>, report: &mut Report) {
        let subject = stage.options.subject;
        let work = "p99 of honest clients beside them";
        let mut figure = Figure::new("attack-honest", work, subject, "x", self.attackers);
        let (calm, served, seen) = (median(self.calm), median(self.served), median(self.seen));
        figure.detail = format!(
            "{calm:.0} µs without, {served:.0} µs beside; {seen:.0} µs with the client's own delays"
        );
        report.add(figure, &[Bar::AtMost { most: 1.5, against: Against::Nothing }]);
        let work = "the same beside as many requests of 1,000 addresses";
        report.add(Figure::new("attack-known", work, subject, "x", self.known), &[]);
        let work = "the same, of 100 addresses that are refused half of the time";
        report.add(Figure::new("attack-refused", work, subject, "x", self.flooding), &[]);
    }
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
