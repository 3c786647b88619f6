//! Who looks: at the pace at which a queue gets shorter, at what is where, at what looking costs.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_jobs::store::Store;
use forebay_jobs::time::Moment;
use forebay_redis::connect::{Again, Redis, Settings, Target};
use forebay_redis::{Value, cmd};
use forebay_signals::clock;

use crate::push::{fill_with, per_second};
use crate::{Flags, Outcome, say, stores};

/// `pace --store S --seconds N`: waits until the queue gets shorter, then half a second, then measures how
/// many jobs a second leave it. The same for every worker, whatever it counts itself.
pub(crate) async fn pace(flags: &Flags) -> Outcome {
    const PATIENCE: Duration = Duration::from_secs(60);
    const WARM: Duration = Duration::from_millis(500);
    let store = stores::open(flags)?;
    let time = Duration::from_secs(flags.value("seconds")?);
    let (first, began) = (store.counts().await?.enqueued, clock::now());
    while store.counts().await?.enqueued == first {
        if clock::now() - began > PATIENCE {
            return Err("nobody takes anything out of the queue".into());
        }
        clock::sleep(Duration::from_millis(5)).await;
    }
    clock::sleep(WARM).await;
    let (before, since) = (store.counts().await?.enqueued, clock::now());
    clock::sleep(time).await;
    let (after, until) = (store.counts().await?.enqueued, clock::now());
    if after == 0 {
        return Err(format!("the queue was too short: {before} jobs in {time:?}").into());
    }
    say(&format!("rate={:.0} left={after}", per_second(before - after, until - since)));
    Ok(())
}

/// `counts --store S`
pub(crate) async fn counts(flags: &Flags) -> Outcome {
    let counts = stores::open(flags)?.counts().await?;
    say(&format!(
        "enqueued={} leased={} retries={} dead={} scheduled={} processes={} processed={}",
        counts.enqueued,
        counts.leased,
        counts.retries,
        counts.dead,
        counts.scheduled,
        counts.processes,
        counts.processed
    ));
    Ok(())
}

/// `metrics --store S --depth N --rounds N`: what all our numbers cost the server at this depth of a queue and
/// of the schedule, by its own account.
pub(crate) async fn metrics(flags: &Flags) -> Outcome {
    let store = stores::open(flags)?;
    let (depth, rounds): (u64, u32) = (flags.value("depth")?, flags.value("rounds")?);
    fill_with(&store, "Noop", depth).await?;
    later(&store, depth).await?;
    let named: String = flags.value("store")?;
    let redis = Redis::new(Settings { target: Target::parse(&named)?, ..Settings::default() });
    for _ in 0..rounds / 10 {
        all_numbers(&store).await?;
    }
    redis.ask(cmd("CONFIG").arg("RESETSTAT"), Again::Safe).await?;
    for _ in 0..rounds {
        all_numbers(&store).await?;
    }
    let info = match redis.ask(cmd("INFO").arg("commandstats"), Again::Safe).await? {
        Value::VerbatimString { text, .. } => text,
        Value::BulkString(text) => String::from_utf8(text)?,
        other => return Err(format!("the server's account is {other:?}").into()),
    };
    let micros: u64 = info
        .lines()
        .filter(|line| !line.starts_with("cmdstat_config"))
        .filter_map(|line| line.split_once("usec=")?.1.split(',').next()?.parse::<u64>().ok())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
    let each = micros as f64 / f64::from(rounds);
    say(&format!("server_us={each:.3}"));
    Ok(())
}

async fn all_numbers(store: &Arc<dyn Store>) -> Outcome {
    store.counts().await?;
    store.queues().await?;
    store.processes().await?;
    Ok(())
}

async fn later(store: &Arc<dyn Store>, count: u64) -> Outcome {
    const STEP: u64 = 1_000;
    const HOUR_US: i64 = 3_600_000_000;
    let now = store.now().await?.as_micros();
    let mut from = 0;
    while from < count {
        let to = count.min(from + STEP);
        let jobs: Vec<_> = (from..to)
            .map(|number| {
                let at = now.saturating_add(HOUR_US).saturating_add_unsigned(number);
                let mut job = stores::raw("Noop", number);
                job.at = Some(Moment::from_micros(at));
                job
            })
            .collect();
        store.push(&jobs).await?;
        from = to;
    }
    Ok(())
}

/// `fsync --folder F`: how often a second 4 KiB at the end of a file are brought to the disk.
pub(crate) fn fsync(flags: &Flags) -> Outcome {
    const TIME: Duration = Duration::from_secs(1);
    let folder: PathBuf = flags.value("folder")?;
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let (began, mut count) = (clock::now(), 0);
    while clock::now() - began < TIME {
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    say(&format!("rate={:.0}", per_second(count, clock::now() - began)));
    std::fs::remove_file(path)?;
    Ok(())
}
