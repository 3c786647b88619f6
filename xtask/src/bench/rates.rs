//! Processor time per request: servers take turns in random order, round after round.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use forebay_signals::clock;

use super::load::{Client, drive};
use super::options::Options;
use super::report::{Against, Bar, Figure, Report, note, real};
use super::servers::Kind::{self, Floor, Forebay, H2o, Nginx, NginxNopush, Varnish};
use super::servers::{Running, Setup, Wire};
use super::stage::Stage;

/// A row of the table that is told in processor time.
pub(super) struct Rate {
    pub(super) name: &'static str,
    pub(super) work: &'static str,
    pub(super) wire: Wire,
    pub(super) client: Client,
    pub(super) path: &'static str,
    pub(super) reaches: Reaches,
    pub(super) peers: &'static [Kind],
    pub(super) bars: &'static [Bar],
}

/// Where the answers come from; a run in which they came from elsewhere is no result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaches {
    /// Or a file.
    Cache,
    Origin,
}

const KEEP_ALIVE: Client = Client::KeepAlive(64);
const BEST_NGINX: Against = Against::BestOf(&[Nginx, NginxNopush]);
const ONLY_NGINX: Against = Against::BestOf(&[Nginx]);
const ONLY_VARNISH: Against = Against::BestOf(&[Varnish]);
const ONLY_H2O: Against = Against::BestOf(&[H2o]);
const ALL: &[Kind] = &[Floor, Nginx, NginxNopush, Varnish, H2o];
const TLS: &[Kind] = &[Nginx, NginxNopush, H2o];
const NGINX: &[Kind] = &[Nginx, NginxNopush];

pub(super) const fn most(most: f64, against: Against) -> Bar {
    Bar::AtMost { most, against }
}

#[rustfmt::skip]
const RATES: [Rate; 11] = [
    Rate { name: "hit-1k", work: "cached hit 1 KB, HTTP/1.1", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/1k", reaches: Reaches::Cache, peers: ALL,
        bars: &[most(0.75, BEST_NGINX), most(0.55, ONLY_VARNISH), most(1.1, ONLY_H2O),
            most(1.35, Against::BestOf(&[Floor]))] },
    Rate { name: "hit-16k", work: "cached hit 16 KB, HTTP/1.1", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/16k", reaches: Reaches::Cache, peers: ALL, bars: &[most(0.75, BEST_NGINX)] },
    Rate { name: "hit-100k", work: "cached hit 100 KB, HTTP/1.1", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/100k", reaches: Reaches::Cache, peers: ALL,
        bars: &[most(0.95, ONLY_NGINX), most(1.0, ONLY_VARNISH)] },
    Rate { name: "hit-1m", work: "cached hit 1 MB, HTTP/1.1", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/1m", reaches: Reaches::Cache, peers: ALL, bars: &[most(1.1, ONLY_VARNISH)] },
    Rate { name: "pass-1k", work: "pass-through miss 1 KB", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/nocache/1k", reaches: Reaches::Origin, peers: NGINX, bars: &[most(1.1, BEST_NGINX)] },
    Rate { name: "pass-100k", work: "pass-through miss 100 KB", wire: Wire::Plain, client: KEEP_ALIVE,
        path: "/nocache/100k", reaches: Reaches::Origin, peers: NGINX, bars: &[most(0.9, BEST_NGINX)] },
    Rate { name: "tls-1k", work: "cached hit 1 KB, TLS 1.3", wire: Wire::Tls, client: KEEP_ALIVE,
        path: "/1k", reaches: Reaches::Cache, peers: TLS, bars: &[most(0.75, BEST_NGINX)] },
    Rate { name: "tls-100k", work: "cached hit 100 KB, TLS 1.3", wire: Wire::Tls, client: KEEP_ALIVE,
        path: "/100k", reaches: Reaches::Cache, peers: TLS, bars: &[most(0.55, BEST_NGINX)] },
    Rate { name: "tls-new", work: "new TLS 1.3 connection, one request", wire: Wire::Tls,
        client: Client::Close, path: "/1k", reaches: Reaches::Cache, peers: TLS,
        bars: &[most(0.65, BEST_NGINX)] },
    Rate { name: "h2-1k", work: "cached hit 1 KB, HTTP/2 and TLS", wire: Wire::Tls,
        client: Client::Http2, path: "/1k", reaches: Reaches::Cache, peers: TLS,
        bars: &[most(0.4, BEST_NGINX), most(1.6, ONLY_H2O)] },
    Rate { name: "h2-100k", work: "cached hit 100 KB, HTTP/2 and TLS", wire: Wire::Tls,
        client: Client::Http2, path: "/100k", reaches: Reaches::Cache, peers: TLS,
        bars: &[most(0.6, BEST_NGINX)] },
];

/// Whether a case with peers is to be run.
pub(super) fn is_any_selected(options: &Options) -> bool {
    RATES.iter().any(|rate| options.selects(rate.name))
}

/// Runs the selected rows, first in clear, then over TLS.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    for wire in [Wire::Plain, Wire::Tls] {
        let rates: Vec<&Rate> = RATES
            .iter()
            .filter(|rate| rate.wire == wire && stage.options.selects(rate.name))
            .collect();
        let mut servers: Vec<Running<'_>> = Vec::new();
        for kind in rates.iter().flat_map(|rate| participants(rate, stage.options.subject)) {
            if servers.iter().all(|server| server.kind != kind) {
                servers.push(Running::start(stage, &Setup::of(kind, wire))?);
            }
        }
        for rate in rates {
            row(stage, rate, &servers, report)?;
        }
    }
    Ok(())
}

/// Two cores against one. On two logical cores the clients sit beside the server, so throughput
/// would measure them too; capacity is cores divided by processor time per request.
pub(super) fn cores(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("cores") {
        return Ok(());
    }
    note("cores: two cores against one");
    let one = Setup::of(stage.options.subject, Wire::Plain);
    let two = Setup { threads: 2, ..one.clone() };
    let servers = [Running::start(stage, &one)?, Running::start(stage, &two)?];
    let mut gains = Vec::new();
    for round in 0..=stage.options.rounds {
        let mut costs = [0.0; 2];
        for (server, cost) in servers.iter().zip(&mut costs) {
            let turn = turn(stage, server, Client::KeepAlive(256), "/1k", Reaches::Cache)?;
            *cost = turn.user_us + turn.system_us;
        }
        if round > 0 {
            gains.push(2.0 * costs[0] / costs[1]);
        }
    }
    let figure = Figure::new("cores", "two cores against one", stage.options.subject, "x", gains);
    report.add(figure, &[Bar::AtLeast { least: 1.8 }]);
    Ok(())
}

/// One measurement.
struct Turn {
    user_us: f64,
    system_us: f64,
    per_second: f64,
    p99_us: Option<f64>,
}

/// Measures one row; `servers` are those that take part, and others.
pub(super) fn row(
    stage: &Stage<'_>,
    rate: &Rate,
    servers: &[Running<'_>],
    report: &mut Report,
) -> Result<(), String> {
    note(&format!("{}: {}", rate.name, rate.work));
    let subject = stage.options.subject;
    let kinds = participants(rate, subject);
    let mut order: Vec<&Running<'_>> =
        servers.iter().filter(|server| kinds.contains(&server.kind)).collect();
    let mut turns: BTreeMap<&str, (Kind, Vec<Turn>)> = BTreeMap::new();
    // Round 0 warms and is not counted.
    for round in 0..=stage.options.rounds {
        shuffle(&mut order);
        for server in &order {
            let turn = turn(stage, server, rate.client, rate.path, rate.reaches)
                .map_err(|reason| format!("{} with {}: {reason}", rate.name, server.kind.name()))?;
            if round > 0 {
                let (_, list) =
                    turns.entry(server.kind.name()).or_insert((server.kind, Vec::new()));
                list.push(turn);
            }
        }
    }
    for (kind, turns) in turns.into_values() {
        let total = turns.iter().map(|turn| turn.user_us + turn.system_us).collect();
        let median = |of: fn(&Turn) -> f64| super::report::median(turns.iter().map(of).collect());
        let p99 = median(|turn| turn.p99_us.unwrap_or(f64::NAN));
        let mut figure = Figure::new(rate.name, rate.work, kind, "µs", total);
        let tail = if p99.is_finite() { format!(", p99 {p99:.0} µs") } else { String::new() };
        figure.detail = format!(
            "user {:.2}, system {:.2}, {:.0} requests/s{tail}",
            median(|turn| turn.user_us),
            median(|turn| turn.system_us),
            median(|turn| turn.per_second),
        );
        report.add(figure, if kind == subject { rate.bars } else { &[] });
    }
    Ok(())
}

fn turn(
    stage: &Stage<'_>,
    server: &Running<'_>,
    client: Client,
    path: &str,
    reaches: Reaches,
) -> Result<Turn, String> {
    let (asked, used) = (stage.origin_count()?, server.cpu()?);
    let start = clock::now();
    let load = drive(stage, server, client, path, stage.options.seconds)?;
    let elapsed = (clock::now() - start).as_secs_f64();
    let (used_after, asked_after) = (server.cpu()?, stage.origin_count()?);
    if load.failed > 0 {
        return Err(format!("{} of {} requests failed", load.failed, load.requests));
    }
    let asked = asked_after - asked;
    let is_as_said = match reaches {
        // One is the first request of all, which fills the cache; Varnish fills while the rest wait.
        Reaches::Cache => asked <= 8,
        Reaches::Origin => asked >= load.requests,
    };
    if !is_as_said {
        return Err(format!("the origin saw {asked} of {} requests", load.requests));
    }
    let requests = real(load.requests);
    Ok(Turn {
        user_us: micros(used_after.user, used.user) / requests,
        system_us: micros(used_after.system, used.system) / requests,
        per_second: requests / elapsed,
        p99_us: load.p99_us,
    })
}

fn micros(after: Duration, before: Duration) -> f64 {
    after.saturating_sub(before).as_secs_f64() * 1e6
}

fn participants(rate: &Rate, subject: Kind) -> Vec<Kind> {
    let mut kinds = vec![subject];
    kinds.extend(rate.peers.iter().copied().filter(|kind| *kind != subject && *kind != Forebay));
    kinds
}

/// Fisher and Yates; the order must differ between rounds, not withstand anyone.
fn shuffle<T>(list: &mut [T]) {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut state = u64::from(since.subsec_nanos()) | 1;
    for last in (1..list.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = usize::try_from(state >> 16).unwrap_or_default() % (last + 1);
        list.swap(last, place);
    }
}
