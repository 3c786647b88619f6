//! Who pushes: as fast as can be, at a pace, or to fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay_jobs::push::{Client, PushError};
use forebay_jobs::store::{Due, From, Push, Set, Store};
use forebay_signals::clock;

use crate::work::{Noop, Stamp, now_us};
use crate::{Flags, Outcome, say, stores};

/// Jobs of one call that pushes in bulk.
const BULK: u64 = 1_000;

/// `fill --store S --class C --count N`: so many jobs, numbered from 0.
pub(crate) async fn fill(flags: &Flags) -> Outcome {
    let store = stores::open(flags)?;
    let (class, count): (String, u64) = (flags.value("class")?, flags.value("count")?);
    fill_with(&store, &class, count).await?;
    say(&format!("filled={count}"));
    Ok(())
}

pub(crate) async fn fill_with(store: &Arc<dyn Store>, class: &str, count: u64) -> Outcome {
    let mut from = 0;
    while from < count {
        let to = count.min(from + BULK);
        let jobs: Vec<Push> = (from..to).map(|number| stores::raw(class, number)).collect();
        store.push(&jobs).await?;
        from = to;
    }
    Ok(())
}

/// `keep --store S --depth N --seconds N`: keeps the queue so deep and at most 15,000 jobs deeper, and says how many
/// jobs a second that took: as many as were run. `dry` is the part of the looks that found it empty.
pub(crate) async fn keep(flags: &Flags) -> Outcome {
    const STEP: u64 = 10_000;
    const WARM: Duration = Duration::from_secs(1);
    let store = stores::open(flags)?;
    let depth: u64 = flags.value("depth")?;
    let time = Duration::from_secs(flags.value("seconds")?);
    let step: Vec<Push> = (0..STEP).map(|number| stores::raw("Noop", number)).collect();
    let (mut pushed, mut counted) = (0, None);
    let (mut looks, mut dry) = (0_u32, 0_u32);
    let began = clock::now();
    loop {
        let there = store.counts().await?.enqueued;
        let now = clock::now();
        if counted.is_none() && now - began >= WARM {
            counted = Some((now, pushed, there));
        }
        if let Some((since, before, at_first)) = counted {
            looks += 1;
            dry += u32::from(there == 0);
            if now - since >= time {
                let run = (pushed + at_first).saturating_sub(before + there);
                let rate = per_second(run, now - since);
                let dry = f64::from(dry) / f64::from(looks);
                say(&format!("rate={rate:.0} dry={dry:.4}"));
                return Ok(());
            }
        }
        if there < depth + STEP / 2 {
            store.push(&step).await?;
            pushed += STEP;
        } else {
            clock::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// `push --store S --callers N --bulk 0|1 --seconds N`
pub(crate) async fn rate(flags: &Flags) -> Outcome {
    let client = Client::new(stores::open(flags)?);
    let (callers, bulk): (u64, u64) = (flags.value("callers")?, flags.value("bulk")?);
    let time = Duration::from_secs(flags.value("seconds")?);
    for number in 0..200 {
        client.push(&Noop(number)).await?;
    }
    let pushed = Arc::new(AtomicU64::new(0));
    let began = clock::now();
    let tasks = (0..callers).map(|_| {
        let (client, pushed) = (client.clone(), Arc::clone(&pushed));
        tokio::spawn(async move {
            let mut number = 0;
            while clock::now() - began < time {
                if bulk == 0 {
                    client.push(&Noop(number)).await?;
                    number += 1;
                    pushed.fetch_add(1, Ordering::Relaxed);
                } else {
                    let jobs: Vec<Noop> = (number..number + BULK).map(Noop).collect();
                    client.push_bulk(&jobs).await?;
                    number += BULK;
                    pushed.fetch_add(BULK, Ordering::Relaxed);
                }
            }
            Ok::<_, PushError>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let count = pushed.load(Ordering::Relaxed);
    say(&format!("rate={:.0} pushed={count}", per_second(count, clock::now() - began)));
    Ok(())
}

/// `stamp --store S --count N --every-us N`: jobs that carry the moment of their push, at a pace that is
/// drawn between half and one and a half of the interval.
pub(crate) async fn stamp(flags: &Flags) -> Outcome {
    const WARM: u64 = 50;
    const PATIENCE: Duration = Duration::from_secs(20);
    let client = Client::new(stores::open(flags)?);
    let (count, every): (u64, u64) = (flags.value("count")?, flags.value("every-us")?);
    let mut calls = Vec::new();
    for _ in 0..count + WARM {
        let pause = every / 2 + fastrand::u64(..=every);
        clock::sleep(Duration::from_micros(pause)).await;
        let began = now_us();
        client.push(&Stamp(began)).await?;
        calls.push(now_us().saturating_sub(began));
    }
    // Whoever ends the worker now takes the last one away from it.
    let began = clock::now();
    loop {
        let counts = client.store().counts().await?;
        if counts.enqueued + counts.leased == 0 {
            break;
        }
        if clock::now() - began > PATIENCE {
            return Err("the worker does not run all".into());
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
    calls.sort_unstable();
    let part = |of: usize| calls.get(calls.len() * of / 1_000).copied().unwrap_or(0);
    say(&format!("pushed={} push_p50_us={} push_p99_us={}", calls.len(), part(500), part(990)));
    Ok(())
}

/// `revive --store S`: what is dead goes back to its queue.
pub(crate) async fn revive(flags: &Flags) -> Outcome {
    const STEP: usize = 100;
    let store = stores::open(flags)?;
    let mut revived = 0;
    loop {
        let entries = store.entries(Set::Dead, From::Oldest, 0, STEP).await?;
        if entries.is_empty() {
            say(&format!("revived={revived}"));
            return Ok(());
        }
        let due = entries.into_iter().map(|entry| {
            let payload = entry.payload.clone();
            Due { entry, queue: stores::QUEUE.into(), payload }
        });
        revived += store.promote(Set::Dead, &due.collect::<Vec<_>>()).await?;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
pub(crate) fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
