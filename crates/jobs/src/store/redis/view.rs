//! Numbers, pages and processes: what is shown. Numbers cost as much as there are queues and processes, and
//! nothing more because a queue is deep.

use std::time::Duration;

use bytes::Bytes;
use forebay_redis::connect::Again;
use forebay_redis::{Pipeline, Value, cmd, pipe};
use serde_json::value::RawValue;

use super::super::{
    Beat, Counts, Entry, From, Owner, Process, QueueView, Room, Set, Signal, StoreError,
};
use super::reply::{bytes, count, entries, list, number, score, strange, text, texts};
use super::{RedisStore, keys};
use crate::job::{Job, id_of};
use crate::time::Moment;

/// Entries that one look of a search takes.
const A_LOOK: usize = 500;
/// Calls that go in one pipeline.
const MOST_A_PIPE: usize = 1_000;
/// How long a process is shown after its last beat, as Sidekiq does.
const SHOWN_SECONDS: u64 = 60;
/// Signals that wait for a process at most.
const MOST_SIGNALS: usize = 100;

impl RedisStore {
    pub(super) async fn count_all(&self) -> Result<Counts, StoreError> {
        let mut calls = pipe();
        calls.cmd("GET").arg("stat:processed").cmd("GET").arg("stat:failed");
        for set in [Set::Schedule, Set::Retry, Set::Dead] {
            calls.cmd("ZCARD").arg(set.key());
        }
        calls.cmd("SMEMBERS").arg(keys::QUEUES).cmd("SMEMBERS").arg(keys::PROCESSES);
        calls.cmd("ZRANGE").arg(keys::ALIVE).arg(0).arg(-1);
        let mut answers = self.pipe(&calls).await?;
        let names = answers.split_off(5).into_iter().map(texts).collect::<Vec<_>>();
        let [queues, processes, owners] = names.try_into().unwrap_or_default();
        let number = |at: usize| count(answers.get(at));
        let depth = self.depths(&queues).await?.into_iter().sum();
        let leased = each(&owners, |calls, name| {
            calls.cmd("HLEN").arg(keys::leases(&Owner::named(name)));
        });
        let shown = each(&processes, |calls, name| {
            calls.cmd("EXISTS").arg(name);
        });
        Ok(Counts {
            processed: number(0),
            failed: number(1),
            scheduled: number(2),
            retries: number(3),
            dead: number(4),
            enqueued: depth,
            leased: self.all(leased).await?.iter().map(|it| count(Some(it))).sum(),
            processes: self.all(shown).await?.iter().map(|it| count(Some(it))).sum(),
        })
    }

    /// Jobs in each queue, without those that were removed.
    async fn depths(&self, queues: &[String]) -> Result<Vec<u64>, StoreError> {
        let calls = each(queues, |calls, name| {
            calls.cmd("LLEN").arg(keys::queue(name)).cmd("HLEN").arg(keys::gone(name));
        });
        let answers = self.all(calls).await?;
        let mut depths = Vec::with_capacity(queues.len());
        for (name, both) in queues.iter().zip(answers.chunks(2)) {
            let (jobs, marks) = (count(both.first()), count(both.get(1)));
            let is_void = marks > 0 && self.marks_of(name).await?.are_void(Duration::ZERO);
            // One of them says when the last was made.
            let gone = if is_void { 0 } else { marks.saturating_sub(1) };
            depths.push(jobs.saturating_sub(gone));
        }
        Ok(depths)
    }

    /// What is to be known of the marks of a queue.
    pub(super) async fn marks_of(&self, queue: &str) -> Result<Marks, StoreError> {
        let mut calls = pipe();
        calls.cmd("LINDEX").arg(keys::queue(queue)).arg(-1);
        calls.cmd("HGET").arg(keys::gone(queue)).arg("");
        let mut answers = self.pipe(&calls).await?.into_iter();
        let oldest = answers.next().and_then(bytes);
        Ok(Marks {
            is_empty: oldest.is_none(),
            waits_since: oldest.and_then(|job| Job::parse(job).ok()?.enqueued_at()),
            last: answers.next().as_ref().and_then(number).map(Moment::from_micros),
        })
    }

    pub(super) async fn show_queues(&self) -> Result<Vec<QueueView>, StoreError> {
        let mut call = cmd("SMEMBERS");
        call.arg(keys::QUEUES);
        let mut names = texts(self.redis.ask(&call, Again::Safe).await?);
        names.sort_unstable();
        let depths = self.depths(&names).await?;
        let calls = each(&names, |calls, name| {
            // The oldest by `LINDEX`: `LRANGE -1 -1` walks the whole list on Redis before 7.
            calls.cmd("LINDEX").arg(keys::queue(name)).arg(-1);
            calls.cmd("SISMEMBER").arg(keys::PAUSED).arg(name);
        });
        let mut answers = self.all(calls).await?.into_iter();
        let mut queues = Vec::with_capacity(names.len());
        for (name, depth) in names.into_iter().zip(depths) {
            let oldest = answers.next().and_then(bytes);
            let is_paused = answers.next().is_some_and(|it| super::reply::is_true(&it));
            queues.push(QueueView { name: name.into(), depth, oldest, is_paused });
        }
        Ok(queues)
    }

    pub(super) async fn page_of(
        &self,
        queue: &str,
        from: From,
        skip: usize,
        most: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        let (skip, most) = (index(skip), index(most));
        let key = keys::queue(queue);
        if from == From::Newest {
            let mut call = cmd("LRANGE");
            call.arg(&key).arg(skip).arg(skip.saturating_add(most) - 1);
            let page =
                if most == 0 { Value::Nil } else { self.redis.ask(&call, Again::Safe).await? };
            return Ok(list(page).into_iter().filter_map(bytes).collect());
        }
        // One by one from the end: for a range there, Redis before 7 walks the whole list. In one step, so
        // that none is shown twice because others were taken in between.
        let mut calls = pipe();
        calls.cmd("MULTI");
        for at in 1..=most {
            calls.cmd("LINDEX").arg(&key).arg(-(skip.saturating_add(at)));
        }
        calls.cmd("EXEC");
        let page = self.pipe(&calls).await?.pop().unwrap_or(Value::Nil);
        Ok(list(page).into_iter().map_while(bytes).collect())
    }

    pub(super) async fn find_in_set(
        &self,
        set: Set,
        id: &str,
    ) -> Result<Option<Entry>, StoreError> {
        // Its id stands in the payload as it is, unless it has characters that JSON escapes.
        let pattern = format!("*{}*", escaped(id));
        let mut cursor = "0".to_owned();
        loop {
            let mut call = cmd("ZSCAN");
            call.arg(set.key()).arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(A_LOOK);
            let mut answer = list(self.redis.ask(&call, Again::Safe).await?).into_iter();
            let next = answer.next().and_then(text);
            let some = entries(answer.next().unwrap_or(Value::Nil));
            let found = some.into_iter().find(|it| id_of(&it.payload).as_deref() == Some(id));
            if found.is_some() {
                return Ok(found);
            }
            match next {
                Some(next) if next != "0" => cursor = next,
                Some(_) => return Ok(None),
                None => return Err(strange(&Value::Nil, "a cursor")),
            }
        }
    }

    pub(super) async fn find_in_queue(
        &self,
        queue: &str,
        id: &str,
    ) -> Result<Option<Entry>, StoreError> {
        let is_it = |payload: &Bytes| id_of(payload).as_deref() == Some(id);
        let mut skip = 0;
        loop {
            // From the newest: what others push meanwhile is looked at twice, and nothing is passed over but
            // what is leased.
            let page = self.page_of(queue, From::Newest, skip, A_LOOK).await?;
            let len = page.len();
            if let Some(payload) = page.into_iter().find(is_it) {
                return Ok(Some(Entry { at: Moment::default(), payload }));
            }
            if len < A_LOOK {
                return Ok(None);
            }
            skip += len;
        }
    }

    pub(super) async fn beat_once(&self, beat: Beat<'_>) -> Result<Option<Signal>, StoreError> {
        let id = beat.owner.as_str();
        let answer = self.scripts.beat.run(&self.redis, 4, Again::Never, |call| {
            call.arg(id).arg(format!("{id}:work")).arg(format!("{id}:workers"));
            call.arg(format!("{id}-signals")).arg(self.now_arg()).arg(id).arg(SHOWN_SECONDS);
            call.arg(beat.info).arg(beat.concurrency).arg(beat.work.len()).arg(beat.rtt_us);
            call.arg(if beat.is_quiet { "true" } else { "false" }).arg(beat.rss_kb);
            call.arg(beat.processed).arg(beat.failed);
            super::ran::fill(call, beat.metrics, beat.ran);
            for work in beat.work {
                // The payload as a text: so every version of Sidekiq reads it. Of what is no JSON they can make
                // nothing, and would show no job at all.
                let is_json = serde_json::from_slice::<&RawValue>(&work.payload).is_ok();
                let payload =
                    if is_json { String::from_utf8_lossy(&work.payload) } else { "{}".into() };
                let since = work.since.as_micros() / 1_000_000;
                let record = serde_json::json!({
                    "queue": &*work.queue, "payload": payload, "run_at": since,
                });
                call.arg(&*work.thread).arg(record.to_string());
            }
        });
        // What somebody wrote there that is no signal is nothing.
        Ok(text(answer.await?).and_then(|it| match it.as_str() {
            "TSTP" => Some(Signal::Quiet),
            "TERM" => Some(Signal::Stop),
            "TTIN" => Some(Signal::Dump),
            _ => None,
        }))
    }

    pub(super) async fn send_signal(
        &self,
        owner: &Owner,
        signal: Signal,
    ) -> Result<(), StoreError> {
        let key = format!("{}-signals", owner.as_str());
        let name = match signal {
            Signal::Quiet => "TSTP",
            Signal::Stop => "TERM",
            Signal::Dump => "TTIN",
        };
        let mut calls = pipe();
        calls.cmd("LPUSH").arg(&key).arg(name);
        calls.cmd("LTRIM").arg(&key).arg(0).arg(MOST_SIGNALS - 1);
        calls.cmd("EXPIRE").arg(&key).arg(SHOWN_SECONDS);
        self.pipe(&calls).await?;
        Ok(())
    }

    pub(super) async fn show_processes(&self) -> Result<Vec<Process>, StoreError> {
        let mut call = cmd("SMEMBERS");
        call.arg(keys::PROCESSES);
        let mut names = texts(self.redis.ask(&call, Again::Safe).await?);
        names.sort_unstable();
        let calls = each(&names, |calls, name| {
            let call = calls.cmd("HMGET").arg(name);
            call.arg("info").arg("concurrency").arg("busy").arg("beat").arg("quiet");
        });
        let answers = self.all(calls).await?;
        let both = names.iter().zip(answers);
        Ok(both.filter_map(|(name, fields)| process(name, fields)).collect())
    }

    pub(super) async fn measure_room(&self) -> Result<Room, StoreError> {
        let mut call = cmd("INFO");
        let info = text_of_info(self.redis.ask(call.arg("memory"), Again::Safe).await?);
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|it| it.trim().parse::<u64>().ok())
        };
        let Some(used) = field("used_memory") else {
            return Err(strange(&Value::Nil, "`used_memory`"));
        };
        let of = field("maxmemory").filter(|it| *it > 0);
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        let evicts = of.is_some() && policy.is_some_and(|it| it.trim() != "noeviction");
        Ok(Room { used, of, evicts })
    }

    pub(super) async fn server_time(&self) -> Result<Moment, StoreError> {
        if self.clock.is_manual() {
            return Ok(self.clock.now());
        }
        let answer = list(self.redis.ask(&cmd("TIME"), Again::Safe).await?);
        let part = |at: usize| answer.get(at).and_then(number).unwrap_or(0);
        Ok(Moment::from_micros(part(0).saturating_mul(1_000_000).saturating_add(part(1))))
    }

    async fn all(&self, pipes: Vec<Pipeline>) -> Result<Vec<Value>, StoreError> {
        let mut answers = Vec::new();
        for calls in &pipes {
            answers.extend(self.pipe(calls).await?);
        }
        Ok(answers)
    }
}

/// Marks of jobs that were removed from a queue. Ruby runs, deletes or empties away what is marked, and leaves the mark.
pub(super) struct Marks {
    is_empty: bool,
    waits_since: Option<Moment>,
    pub(super) last: Option<Moment>,
}

impl Marks {
    /// True if all that waits in the queue came after the last mark, by so much: what is marked is not there.
    pub(super) fn are_void(&self, by: Duration) -> bool {
        let since = self.last.zip(self.waits_since);
        self.is_empty || since.is_some_and(|(last, since)| last.after(by) < since)
    }
}

/// The same calls for each name, in pipelines of a bounded length.
fn each(names: &[String], call: impl Fn(&mut Pipeline, &str)) -> Vec<Pipeline> {
    let pipe_of = |some: &[String]| {
        let mut calls = pipe();
        for name in some {
            call(&mut calls, name);
        }
        calls
    };
    names.chunks(MOST_A_PIPE).map(pipe_of).collect()
}

/// Nothing if it has not beaten of late. What a version of Sidekiq does not write is taken from `info`.
fn process(name: &str, fields: Value) -> Option<Process> {
    let mut fields = list(fields).into_iter();
    let mut next = || fields.next().unwrap_or(Value::Nil);
    let (info, concurrency, busy, beat, quiet) = (next(), next(), next(), next(), next());
    let info = text(info)?;
    let said = || {
        let info: serde_json::Value = serde_json::from_str(&info).ok()?;
        info.get("concurrency")?.as_u64()
    };
    let concurrency = number(&concurrency).and_then(|it| u64::try_from(it).ok());
    Some(Process {
        owner: Owner::named(name),
        concurrency: concurrency.or_else(said).unwrap_or(0),
        info,
        busy: count(Some(&busy)),
        beat: score(&beat).unwrap_or_default(),
        is_quiet: text(quiet).is_some_and(|it| it == "true"),
    })
}

fn text_of_info(value: Value) -> String {
    match value {
        Value::VerbatimString { text, .. } => text,
        other => text(other).unwrap_or_default(),
    }
}

fn index(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A pattern that matches this alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
