//! Listen: from sockets to requests, and from answers to bytes.
//!
//! In: connections. Out: one [`Exchange`] a request, handed to a [`Handler`]. Every wait has a
//! deadline. It never looks at what a request means.

pub mod http1;

use std::future::Future;

use crate::exchange::{Answer, Exchange};

/// Whoever answers requests: the pipeline, or a test.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request; it always has an answer.
    fn call(&self, exchange: Exchange) -> impl Future<Output = Answer> + Send;
}

impl<F, A> Handler for F
where
    F: Fn(Exchange) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    fn call(&self, exchange: Exchange) -> impl Future<Output = Answer> + Send {
        self(exchange)
    }
}
