//! Runs by class, in the keys of Sidekiq's Metrics page. They are written with the beat, in its step, under the minute of
//! the server's clock.
//!
//! | | Sidekiq 8 | Sidekiq 6.5 and 7 | kept for |
//! |---|---|---|---|
//! | times of a class in a minute: 26 counters of 16 bits | `h|A-26-12:5` | `A-26-12:5` | 8 h |
//! | runs of a minute: a hash of `A|p`, `A|f`, `A|ms` | `j|261126|12:05` | `j|20261126|12:5` | 8 h |
//! | runs of ten minutes: the same | `j|261126|12:0` | | 72 h |

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_redis::{Cmd, pipe};

use super::super::{Metrics, RAN_KEPT, Ran, StoreError};
use super::RedisStore;
use super::reply::{count, list, text};
use crate::time::Moment;

const MINUTE: Duration = Duration::from_secs(60);

/// What the script of a beat reads: the form, how many classes, and of each its name, its counts and its buckets.
pub(super) fn fill(call: &mut Cmd, metrics: Metrics, ran: &[Ran]) {
    let form = match metrics {
        Metrics::Sidekiq8 => 8,
        Metrics::Sidekiq7 => 7,
        Metrics::Off => 0,
    };
    let ran = if form == 0 { &[] } else { ran };
    call.arg(form).arg(ran.len());
    for one in ran {
        call.arg(&*one.class).arg(one.processed).arg(one.failed).arg(one.ms);
        let buckets = one.took.iter().enumerate().filter(|(_, count)| **count > 0);
        call.arg(buckets.clone().count());
        for (bucket, count) in buckets {
            // A counter holds no more, and is full then.
            call.arg(bucket).arg((*count).min(u64::from(u16::MAX)));
        }
    }
}

impl RedisStore {
    /// Both forms: processes of either may have written.
    pub(super) async fn ran_within(&self, within: Duration) -> Result<Vec<Ran>, StoreError> {
        let now = self.server_time().await?;
        let minutes = within.min(RAN_KEPT).as_secs() / 60;
        let mut calls = pipe();
        for ago in 0..u32::try_from(minutes).unwrap_or(u32::MAX) {
            let Some([of_8, of_7]) = keys(now.before(MINUTE * ago)) else { continue };
            calls.cmd("HGETALL").arg(of_8).cmd("HGETALL").arg(of_7);
        }
        let mut all: BTreeMap<String, Ran> = BTreeMap::new();
        for answer in self.pipe(&calls).await? {
            let mut fields = list(answer).into_iter();
            while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
                let Some((class, what)) = text(field)
                    .and_then(|it| it.rsplit_once('|').map(|(a, b)| (a.to_owned(), b.to_owned())))
                else {
                    continue;
                };
                let number = count(Some(&value));
                let ran = all.entry(class).or_insert_with_key(|class| Ran::of(class));
                match &*what {
                    "p" => ran.processed += number,
                    "f" => ran.failed += number,
                    "ms" => ran.ms += number,
                    _ => {}
                }
            }
        }
        Ok(all.into_values().filter(|ran| ran.processed > 0).collect())
    }
}

/// The hashes of the runs of a minute.
fn keys(at: Moment) -> Option<[String; 2]> {
    let time =
        jiff::Timestamp::from_microsecond(at.as_micros()).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute) = (time.hour(), time.minute());
    Some([
        format!("j|{:02}{month:02}{day:02}|{hour}:{minute:02}", year % 100),
        format!("j|{year}{month:02}{day:02}|{hour}:{minute}"),
    ])
}
