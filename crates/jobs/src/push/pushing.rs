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
#[derive(Debug)]
pub enum One {}
/// A push of many jobs.
#[derive(Debug)]
pub enum Many {}

/// A push that happens when it is awaited. Made by [`Client`].
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
    pub fn queue(mut self, queue: &str) -> Self {
        self.job.queue = queue.into();
        self
    }

    /// Runs it so much later.
    pub fn delay(self, delay: Duration) -> Self {
        let at = self.client.clock().now().after(delay);
        self.at(at)
    }

    /// Runs it at this moment; what is over is now.
    pub fn at(mut self, at: Moment) -> Self {
        self.job.at = Some(at);
        self
    }

    /// How often it is tried again.
    pub fn retry(mut self, retry: impl Into<Retry>) -> Self {
        self.job.retry = retry.into();
        self
    }

    /// For how long after its first failure it is tried again, in place of a number of times.
    pub fn retry_for(self, window: Duration) -> Self {
        self.field("retry_for", &window.as_secs())
    }

    /// It is dropped if it has not begun so long after it was put in its queue.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.job.expires_in = Some(time);
        self
    }

    /// It keeps out others that are like it.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.job.unique = Some(unique);
        self
    }

    /// Tags that are shown with it.
    pub fn tags(self, tags: &[&str]) -> Self {
        self.field("tags", tags)
    }

    /// The trace that it belongs to: `traceparent` of W3C Trace Context.
    pub fn traceparent(mut self, traceparent: &str) -> Self {
        self.job.set("traceparent", text(traceparent));
        self
    }

    /// Any other field of the payload.
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
