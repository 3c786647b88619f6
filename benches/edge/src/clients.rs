//! The plans: what each client asks for and when.

use std::net::{Ipv4Addr, SocketAddr};
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
        .fire(PATIENCE, |_| next().map(|target| Shot { due: start, target, client: None }))?;
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
        let shot = Shot { due, target: path.clone(), client: None };
        (!std::mem::replace(&mut is_sent[index], true)).then_some(shot)
    })?;
    say(&summary(&samples));
    Ok(())
}

/// `--rate` requests a second for `--seconds`. Beside them, `--miss-rate` more that the origin is asked for
/// (`--miss-path`, or one that answers after 200 ms), and `--attack-rate` more of `--attackers` addresses in
/// turn. Each kind has connections of its own: a hit must not queue behind a miss.
pub(crate) fn open(flags: &Flags) -> Result<(), String> {
    let path: String = flags.value("path")?;
    let connections: usize = flags.value_or("connections", 64)?;
    let attackers: u32 = flags.value_or("attackers", 0)?;
    let slow = format!("/slow?ms={MISS_MS}");
    let miss_path: String = flags.value_or("miss-path", slow)?;
    let rates = [
        flags.value("rate")?,
        flags.value_or("miss-rate", 0.0)?,
        flags.value_or("attack-rate", 0.0)?,
    ];
    let crowd = |rate: f64, connections| if rate > 0.0 { connections } else { 0 };
    let crowds = [connections, crowd(rates[1], connections * 2), crowd(rates[2], connections)];
    let seconds = Duration::from_secs_f64(flags.value("seconds")?);
    let serial: u64 = flags.value_or("serial", 0)?;

    let all = crowds.iter().sum();
    let mut swarm = swarm(flags, all)?;
    let start = clock::now() + Duration::from_millis(50);
    let mut turns = vec![0_u32; all];
    // A run after another one goes on with other addresses.
    let mut attacks = flags.value_or("attackers-from", 0)?..u32::MAX;
    let samples = swarm.fire(PATIENCE, |index| {
        let turn = turns[index];
        turns[index] += 1;
        let (kind, place) = kind_of(index, crowds);
        let after = (f64::from(turn) * to_f64(crowds[kind]) + to_f64(place)) / rates[kind];
        let after = Duration::try_from_secs_f64(after).ok().filter(|after| *after < seconds)?;
        let target = match kind {
            1 => format!("{miss_path}&n={serial}-{index}-{turn}"),
            _ => path.clone(),
        };
        let client = match kind {
            2 => attacks.next().map(|number| ATTACKERS_FROM + number % attackers.max(1)),
            _ => u32::try_from(place).ok().map(|place| HONEST_FROM + place),
        };
        let client = client.filter(|_| attackers > 0).map(Ipv4Addr::from_bits);
        Some(Shot { due: start + after, target, client })
    })?;
    let of = |kind: usize| {
        let is_of = |sample: &&Sample| kind_of(sample.connection, crowds).0 == kind;
        let samples = samples.iter().filter(is_of).copied().collect::<Vec<_>>();
        let served = samples.iter().map(|sample| sample.served).collect();
        format!("{} served_{}", summary(&samples), quantiles(served).replace(' ', " served_"))
    };
    let (misses, attacks) = (of(1).replace(' ', " miss_"), of(2).replace(' ', " attack_"));
    let Swarm { resent, unstamped, .. } = swarm;
    say(&format!("{} miss_{misses} attack_{attacks} resent={resent} unstamped={unstamped}", of(0)));
    Ok(())
}

/// `10.0.0.0`, and `192.0.0.0`: addresses that nobody has here.
const HONEST_FROM: u32 = 10 << 24;
const ATTACKERS_FROM: u32 = 192 << 24;

/// Which of the crowds a connection belongs to, and its place there.
fn kind_of(index: usize, crowds: [usize; 3]) -> (usize, usize) {
    match index.checked_sub(crowds[0]) {
        None => (0, index),
        Some(place) if place < crowds[1] => (1, place),
        Some(place) => (2, place - crowds[1]),
    }
}

fn swarm(flags: &Flags, connections: usize) -> Result<Swarm, String> {
    let port: u16 = flags.value("port")?;
    Swarm::connect(SocketAddr::from(([127, 0, 0, 1], port)), connections)
}

fn summary(samples: &[Sample]) -> String {
    let latencies = quantiles(samples.iter().map(|sample| sample.latency).collect());
    format!("requests={} failed={} {latencies}", samples.len(), failures(samples))
}

fn quantiles(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        latencies.get(rank).copied().unwrap_or_default().as_micros()
    };
    format!("p50_us={} p99_us={} max_us={}", at(50), at(99), at(100))
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
                served: Duration::ZERO,
                status: (ms != 7).then_some(200),
            })
            .collect();
        let expected = "requests=200 failed=1 p50_us=100000 p99_us=198000 max_us=200000";
        assert_eq!(summary(&samples), expected);
    }
}
