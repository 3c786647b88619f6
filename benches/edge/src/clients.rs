//! The plans: what each client asks for and when.

use std::net::SocketAddr;
use std::time::Duration;

use forebay_signals::clock;

use crate::swarm::{Sample, Shot, Swarm};
use crate::{Flags, say};

/// No answer in this time: the server hangs, and so would the benchmark. Valgrind is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the origin of a miss takes.
const MISS_MS: u64 = 200;

/// `--requests` for one path, one after the other on each of `--connections`.
pub(crate) fn steady(flags: &Flags) -> Result<(), String> {
    let path: String = flags.value("path")?;
    let mut left: u64 = flags.value("requests")?;
    each(flags, 8, move || {
        left = left.checked_sub(1)?;
        Some(path.clone())
    })
}

/// `/object/0` to `/object/COUNT`, each once; `--kind` in the place of `object`.
pub(crate) fn fill(flags: &Flags) -> Result<(), String> {
    let mut numbers = 0..flags.value::<u64>("count")?;
    let kind: String = flags.value_or("kind", "object".to_owned())?;
    each(flags, 64, move || numbers.next().map(|number| format!("/{kind}/{number}")))
}

/// `--requests` for objects spread evenly over `/object/0` to `/object/COUNT`.
pub(crate) fn recall(flags: &Flags) -> Result<(), String> {
    let count: u64 = flags.value("count")?;
    let mut numbers = 0..flags.value::<u64>("requests")?;
    // A prime step visits objects in no order that the fill had.
    each(flags, 64, move || {
        let number = numbers.next()? * 7_368_787 % count;
        Some(format!("/object/{number}"))
    })
}

fn each(
    flags: &Flags,
    connections: usize,
    mut next: impl FnMut() -> Option<String>,
) -> Result<(), String> {
    let connections = flags.value_or("connections", connections)?;
    let start = clock::now();
    let samples = swarm(flags, connections)?
        .fire(PATIENCE, |_| next().map(|target| Shot { due: start, target }))?;
    say(&format!("requests={} failed={}", samples.len(), failures(&samples)));
    Ok(())
}

/// One request on each of `--connections`, all at the same moment.
pub(crate) fn herd(flags: &Flags) -> Result<(), String> {
    let path: String = flags.value("path")?;
    let connections = flags.value("connections")?;
    let mut swarm = swarm(flags, connections)?;
    let due = clock::now() + Duration::from_millis(100);
    let mut is_sent = vec![false; connections];
    let samples = swarm.fire(PATIENCE, |index| {
        let shot = Shot { due, target: path.clone() };
        (!std::mem::replace(&mut is_sent[index], true)).then_some(shot)
    })?;
    say(&summary(&samples));
    Ok(())
}

/// `--rate` requests a second for `--seconds`, and `--miss-rate` more that the origin answers
/// after 200 ms. Misses have connections of their own: a hit must not queue behind one.
pub(crate) fn open(flags: &Flags) -> Result<(), String> {
    let path: String = flags.value("path")?;
    let connections: usize = flags.value_or("connections", 64)?;
    let rate: f64 = flags.value("rate")?;
    let miss_rate: f64 = flags.value_or("miss-rate", 0.0)?;
    let miss_connections = if miss_rate > 0.0 { connections * 2 } else { 0 };
    let seconds = Duration::from_secs_f64(flags.value("seconds")?);
    let serial: u64 = flags.value_or("serial", 0)?;

    let mut swarm = swarm(flags, connections + miss_connections)?;
    let start = clock::now() + Duration::from_millis(50);
    let mut turns = vec![0_u32; connections + miss_connections];
    let samples = swarm.fire(PATIENCE, |index| {
        let turn = turns[index];
        turns[index] += 1;
        let (rate, among, place) = match index.checked_sub(connections) {
            None => (rate, connections, index),
            Some(place) => (miss_rate, miss_connections, place),
        };
        let after = (f64::from(turn) * to_f64(among) + to_f64(place)) / rate;
        let after = Duration::try_from_secs_f64(after).ok().filter(|after| *after < seconds)?;
        let target = if index < connections {
            path.clone()
        } else {
            format!("/slow?ms={MISS_MS}&n={serial}-{index}-{turn}")
        };
        Some(Shot { due: start + after, target })
    })?;
    let (hits, misses): (Vec<_>, Vec<_>) =
        samples.iter().copied().partition(|sample: &Sample| sample.connection < connections);
    let misses = summary(&misses).replace(' ', " miss_");
    say(&format!("{} miss_{misses} resent={}", summary(&hits), swarm.resent));
    Ok(())
}

fn swarm(flags: &Flags, connections: usize) -> Result<Swarm, String> {
    let port: u16 = flags.value("port")?;
    Swarm::connect(SocketAddr::from(([127, 0, 0, 1], port)), connections)
}

fn summary(samples: &[Sample]) -> String {
    let mut latencies: Vec<Duration> = samples.iter().map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    let at = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        latencies.get(rank).copied().unwrap_or_default().as_micros()
    };
    format!(
        "requests={} failed={} p50_us={} p99_us={} max_us={}",
        samples.len(),
        failures(samples),
        at(50),
        at(99),
        at(100)
    )
}

fn failures(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.status != Some(200)).count()
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_failures_come_from_all_samples() {
        let samples: Vec<Sample> = (1..=200)
            .map(|ms| Sample {
                connection: 0,
                latency: Duration::from_millis(ms),
                status: (ms != 7).then_some(200),
            })
            .collect();
        let expected = "requests=200 failed=1 p50_us=100000 p99_us=198000 max_us=200000";
        assert_eq!(summary(&samples), expected);
    }
}
