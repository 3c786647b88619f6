//! A push that is being told what it should be.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::new_job::text;
use super::{Client, NewJob, Outcome, PushError, Unique, new_id};
use crate::job::{DEFAULT_RETRIES, Retry};
use crate::time::Moment;

/// What Sidekiq says of a class that says nothing.
pub(super) const RETRY: Retry = Retry::Times(DEFAULT_RETRIES);

/// A push of one job.
///
/// ```
/// use forebay_jobs::push::{One, Outcome, PushError, Pushing};
/// async fn in_mail(push: Pushing<'_, One>) -> Result<Outcome, PushError> {
///     push.queue("mail").await
/// }
/// ```
#[derive(Debug)]
pub enum One {}
/// A push of many jobs.
///
/// ```
/// use forebay_jobs::push::{Many, PushError, Pushing};
/// async fn stored(push: Pushing<'_, Many>) -> Result<usize, PushError> {
///     Ok(push.await?.iter().filter(|it| it.id().is_some()).count())
/// }
/// ```
#[derive(Debug)]
pub enum Many {}

/// A push that happens when it is awaited. Made by [`Client`].
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::store::Store;
/// let push = client.push_raw("Report", &(7,)).queue("low");
/// assert_eq!(client.store().counts().await?.enqueued, 0);
/// push.await?;
/// assert_eq!(client.store().counts().await?.enqueued, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is pushed before it is awaited"]
pub struct Pushing<'c, K> {
    client: &'c Client,
    job: NewJob,
    args: Vec<serde_json::Result<String>>,
    /// What went wrong while it was told, said when it is awaited.
    error: Option<PushError>,
    kind: PhantomData<K>,
}

impl<'c, K> Pushing<'c, K> {
    pub(super) fn new(
        client: &'c Client,
        class: &str,
        queue: &str,
        retry: Retry,
        args: Vec<serde_json::Result<String>>,
    ) -> Pushing<'c, K> {
        let job = NewJob {
            class: class.into(),
            args: String::new(),
            queue: queue.into(),
            id: String::new(),
            retry,
            at: None,
            expires_in: None,
            unique: None,
            fields: Vec::new(),
        };
        Pushing { client, job, args, error: None, kind: PhantomData }
    }

    /// To which queue.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// client.push_raw("Report", &(7,)).queue("low").await?;
    /// assert_eq!(testing::pushed(&**client.store(), "low").await?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn queue(mut self, queue: &str) -> Self {
        self.job.queue = queue.into();
        self
    }

    /// Runs it so much later. As `perform_in` of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::store::Store;
    /// client.push_raw("Report", &(7,)).delay(std::time::Duration::from_secs(60)).await?;
    /// let counts = client.store().counts().await?;
    /// assert_eq!((counts.scheduled, counts.enqueued), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn delay(self, delay: Duration) -> Self {
        let at = self.client.clock().now().after(delay);
        self.at(at)
    }

    /// Runs it at this moment; what is over is now. As `perform_at` of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// # use forebay_jobs::store::Store;
    /// use forebay_jobs::time::Moment;
    /// client.push_raw("Report", &(7,)).at(Moment::from_micros(0)).await?; // 1970 is over
    /// assert_eq!(client.store().counts().await?.enqueued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn at(mut self, at: Moment) -> Self {
        self.job.at = Some(at);
        self
    }

    /// How often it is tried again.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::job::Retry;
    /// client.push_raw("Report", &(7,)).retry(3).await?;
    /// client.push_raw("Report", &(7,)).retry(false).await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!((jobs[0].retry(), jobs[1].retry()), (Retry::Times(3), Retry::Never));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn retry(mut self, retry: impl Into<Retry>) -> Self {
        self.job.retry = retry.into();
        self
    }

    /// For how long after its first failure it is tried again, in place of a number of times.
    /// Whole seconds are written.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// let day = std::time::Duration::from_secs(86_400);
    /// client.push_raw("Report", &(7,)).retry_for(day).await?;
    /// assert_eq!(testing::pushed(&**client.store(), "default").await?[0].retry_for(), Some(day));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn retry_for(self, window: Duration) -> Self {
        self.field("retry_for", &window.as_secs())
    }

    /// It is dropped if it has not begun so long after it was put in its queue.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// client.push_raw("Ping", &(7,)).expires_in(std::time::Duration::ZERO).await?;
    /// let drained = testing::drain(&Worker::builder(store).build()).await?;
    /// assert_eq!((drained.done, drained.other), (0, 1)); // too late
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.job.expires_in = Some(time);
        self
    }

    /// It keeps out others that are like it. As `unique_for` of Sidekiq Enterprise.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::push::Unique;
    /// let report = || client.push_raw("Report", &(7,)).unique(Unique::by_args());
    /// assert!(report().await?.id().is_some());
    /// assert!(report().await?.id().is_none()); // one is there already
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn unique(mut self, unique: Unique) -> Self {
        self.job.unique = Some(unique);
        self
    }

    /// Tags that are shown with it. Ruby's Web UI shows them too.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// client.push_raw("Report", &(7,)).tags(&["monthly", "acme"]).await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!(jobs[0].field("tags").as_deref(), Some(r#"["monthly","acme"]"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn tags(self, tags: &[&str]) -> Self {
        self.field("tags", tags)
    }

    /// The trace that it belongs to: `traceparent` of W3C Trace Context.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// client.push_raw("Report", &(7,)).traceparent(trace).await?;
    /// assert_eq!(testing::pushed(&**client.store(), "default").await?[0].traceparent(), Some(trace));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn traceparent(mut self, traceparent: &str) -> Self {
        self.job.set("traceparent", text(traceparent));
        self
    }

    /// Any other field of the payload.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// client.push_raw("Report", &(7,)).field("locale", "de").await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!(jobs[0].field("locale").as_deref(), Some("\"de\""));
    /// assert!(client.push_raw("Report", &(7,)).field("jid", "mine").await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn field(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => self.job.set(name, json),
            Err(error) => self.error = Some(PushError::Args(error)),
        }
        self
    }

    /// The jobs, each with its own id.
    fn jobs(self) -> Result<(&'c Client, Vec<NewJob>), PushError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let jobs = self.args.into_iter().map(|args| {
            let (args, id) = (args.map_err(PushError::Args)?, new_id());
            let (class, queue) = (Arc::clone(&self.job.class), Arc::clone(&self.job.queue));
            Ok(NewJob { class, args, queue, id, ..self.job.clone() })
        });
        Ok((self.client, jobs.collect::<Result<_, PushError>>()?))
    }
}

type Sending<'c, T> = Pin<Box<dyn Future<Output = Result<T, PushError>> + Send + 'c>>;

impl<'c> IntoFuture for Pushing<'c, One> {
    type Output = Result<Outcome, PushError>;
    type IntoFuture = Sending<'c, Outcome>;

    fn into_future(self) -> Self::IntoFuture {
        let jobs = self.jobs();
        Box::pin(async move {
            let (client, jobs) = jobs?;
            let outcome = client.send(jobs).await?.pop();
            Ok(outcome.expect("one job was sent"))
        })
    }
}

impl<'c> IntoFuture for Pushing<'c, Many> {
    type Output = Result<Vec<Outcome>, PushError>;
    type IntoFuture = Sending<'c, Vec<Outcome>>;

    fn into_future(self) -> Self::IntoFuture {
        let jobs = self.jobs();
        Box::pin(async move {
            let (client, jobs) = jobs?;
            client.send(jobs).await
        })
    }
}
