//! What makes two jobs alike, and for how long.

use std::time::Duration;

use hmac_sha256::Hash;
use serde::Serialize;

/// How long a lock lasts when nobody says.
const DEFAULT_TTL: Duration = Duration::from_secs(86_400);

/// Keeps out jobs that are like one that is there already.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::push::{Unique, Until};
/// let by_args = Unique::by_args().until(Until::Start).ttl(Duration::from_secs(600));
/// let by_user = Unique::by(&("user", 7)); // the other arguments do not matter
/// let by_key = Unique::by_key("nightly report");
/// # let _ = (by_args, by_user, by_key);
/// ```
#[derive(Debug, Clone)]
pub struct Unique {
    by: By,
    until: Until,
    ttl: Duration,
}

/// When a job no longer keeps out others.
///
/// ```
/// use forebay_jobs::push::{Unique, Until};
/// assert_eq!(Until::default(), Until::Success);
/// let one_waits = Unique::by_args().until(Until::Start); // while it runs, the next may wait
/// # let _ = one_waits;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// When it begins to run.
    Start,
    /// When it has succeeded, is dead or is gone.
    #[default]
    Success,
    /// When its time is over, whatever became of it.
    Time,
}

#[derive(Debug, Clone)]
enum By {
    Args,
    Part(String),
    Key(String),
}

impl Unique {
    /// Alike are jobs of one class with the same arguments, letter by letter as JSON.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::push::Unique;
    /// let mail = |user: u64| client.push_raw("Mail", &(user, "hello")).unique(Unique::by_args());
    /// assert!(mail(7).await?.id().is_some());
    /// assert!(mail(7).await?.id().is_none());
    /// assert!(mail(8).await?.id().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn by_args() -> Unique {
        Unique::new(By::Args)
    }

    /// Alike are jobs of one class with the same part of their arguments. What cannot be written as JSON
    /// is alike with nothing else that can.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::push::Unique;
    /// let mail = |text: &str| client.push_raw("Mail", &(7, text)).unique(Unique::by(&7));
    /// assert!(mail("hello").await?.id().is_some());
    /// assert!(mail("hello again").await?.id().is_none()); // one mail a user
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn by(part: &impl Serialize) -> Unique {
        Unique::new(By::Part(serde_json::to_string(part).unwrap_or_default()))
    }

    /// Alike are jobs with this key, of whatever class.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::push::Unique;
    /// assert!(client.push_raw("Fast", &()).unique(Unique::by_key("import")).await?.id().is_some());
    /// assert!(client.push_raw("Slow", &()).unique(Unique::by_key("import")).await?.id().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn by_key(key: impl Into<String>) -> Unique {
        Unique::new(By::Key(key.into()))
    }

    fn new(by: By) -> Unique {
        Unique { by, until: Until::default(), ttl: DEFAULT_TTL }
    }

    /// When it ends.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// use forebay_jobs::push::{Unique, Until};
    /// let sync = || client.push_raw("Sync", &(7,)).unique(Unique::by_args().until(Until::Start));
    /// sync().await?;
    /// assert!(sync().await?.id().is_none());
    /// testing::drain(&Worker::builder(store).build()).await?; // it has begun
    /// assert!(sync().await?.id().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn until(mut self, until: Until) -> Unique {
        self.until = until;
        self
    }

    /// When it ends at the latest, counted from when the job is to run; a day if nobody says.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use forebay_jobs::{push::{Client, Unique}, store::{Retention, memory::Memory}, time::{Clock, Moment}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let clock = Clock::manual(Moment::from_micros(0));
    /// let client = Client::new(Arc::new(Memory::new(clock.clone(), Retention::default())));
    /// let minute = Duration::from_secs(60);
    /// let sync = || client.push_raw("Sync", &(7,)).unique(Unique::by_args().ttl(minute));
    /// sync().await?;
    /// clock.advance(minute);
    /// assert!(sync().await?.id().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Unique {
        self.ttl = ttl;
        self
    }

    /// The time for the lock of a job that runs after `delay`.
    pub(super) fn lasts(&self, delay: Duration) -> Duration {
        self.ttl.saturating_add(delay)
    }

    pub(super) fn ends(&self) -> Until {
        self.until
    }

    /// The name of the lock: a digest, so that it has no length to speak of and shows no arguments.
    pub(super) fn key(&self, class: &str, args: &str) -> String {
        let (kind, class, what) = match &self.by {
            By::Args => ("args", class, args),
            By::Part(part) => ("part", class, part.as_str()),
            By::Key(key) => ("key", "", key.as_str()),
        };
        let mut hash = Hash::new();
        for part in [kind, class, what] {
            // With its length, so that no two lists of parts are the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }
}

impl Until {
    /// As the payload says it in `unique_until`.
    ///
    /// ```
    /// assert_eq!(forebay_jobs::push::Until::Start.as_str(), "start");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Until::Start => "start",
            Until::Success => "success",
            Until::Time => "time",
        }
    }

    /// Reads what a payload says; what nobody knows lasts as long as is usual.
    ///
    /// ```
    /// use forebay_jobs::push::Until;
    /// assert_eq!(Until::read(Until::Time.as_str()), Until::Time);
    /// assert_eq!(Until::read("full moon"), Until::Success);
    /// ```
    pub fn read(text: &str) -> Until {
        match text {
            "start" => Until::Start,
            "time" => Until::Time,
            _ => Until::Success,
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes whatever is written");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_apart_what_is_not_alike() {
        let keys = [
            Unique::by_args().key("A", "[1]"),
            Unique::by_args().key("A", "[2]"),
            Unique::by_args().key("B", "[1]"),
            Unique::by(&[1]).key("A", "[7]"),
            Unique::by_key("[1]").key("A", "[1]"),
            Unique::by_args().key("A[", "1]"),
        ];
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), 64);
            assert!(!keys[..n].contains(key), "{n}");
        }
        assert_eq!(Unique::by_key("k").key("A", "[1]"), Unique::by_key("k").key("B", "[2]"));
        assert_eq!(Unique::by(&1).key("A", "[1,2]"), Unique::by(&1).key("A", "[1,3]"));
    }
}
