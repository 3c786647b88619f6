//! Listen: from sockets to requests, and from answers to bytes.
//!
//! In: connections, on sockets that [`Entrance`] binds and [`run`] accepts from, one a core. Out: one
//! [`Exchange`] a request, handed to a [`Handler`]; its answer as bytes. Every wait has a deadline,
//! every table and buffer a bound. It never looks at what a request means, and a panic in one
//! request harms no other.

mod accept;
mod blocked;
mod caps;
mod counters;
mod deadline;
pub mod detect;
mod entrance;
pub mod http1;
pub mod http2;
mod inherited;
mod io;
mod patience;
mod progress;
pub mod proxy_protocol;
mod rate;
mod serve;
mod settings;
mod sockets;
pub mod tls;
mod tunnel;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::Error;
use crate::exchange::{Answer, Exchange, Hints};

pub use accept::run;
pub use counters::Counters;
pub use entrance::{Entrance, Next, OpenError};
pub use inherited::{Inherited, NotListening};
pub use io::Socket;
pub use sockets::{BindError, Sockets};
pub use tls::{CertificateError, Certificates, self_signed};

/// An answer that is waited for, and what is known before it comes.
pub struct Coming {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    hints: Option<Hints>,
}

impl Coming {
    /// An answer; `hints` only for a client that may be told something before it.
    pub fn new(
        answer: impl Future<Output = Answer> + Send + 'static,
        hints: Option<Hints>,
    ) -> Coming {
        Coming { answer: Box::pin(answer), hints }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        self.answer.as_mut().poll(context)
    }

    /// What is to go before an answer that is there.
    fn next_hint_before_answer(&self) -> Option<Bytes> {
        self.hints.as_ref().and_then(Hints::next_of_origin)
    }

    /// Field lines of a 103, while the answer is waited for.
    fn poll_hint(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        self.hints.as_ref().map_or(Poll::Pending, |hints| hints.poll_next(context))
    }
}

/// What a handler has for a request.
pub enum Reply {
    /// The answer: nothing had to be waited for.
    Now(Answer),
    /// It comes.
    Later(Coming),
}

/// Whoever answers requests: the pipeline, or a test.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request; it always has an answer, and never blocks.
    fn call(&self, exchange: Exchange) -> Reply;

    /// Answers what was refused before it became a request; the exchange holds what is known of it.
    fn refuse(&self, exchange: Exchange, error: Error) -> Answer {
        drop(exchange);
        refusal(&error)
    }
}

impl<F, A> Handler for F
where
    F: Fn(Exchange) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    fn call(&self, exchange: Exchange) -> Reply {
        Reply::Later(Coming::new(self(exchange), None))
    }
}

/// The answer to a message that never came to the handler. Even this says that no cache was asked
/// (RFC 9211).
fn refusal(error: &Error) -> Answer {
    let mut answer = Answer::from(error);
    answer.own.push("cache-status", |out| {
        out.extend_from_slice(b"Forebay; detail=");
        out.extend_from_slice(error.facts().label.as_bytes());
    });
    answer
}
