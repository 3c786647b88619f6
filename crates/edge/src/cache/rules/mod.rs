//! The law of a shared cache: RFC 9111, with RFC 5861, 8246 and 9213.
//!
//! For: deciding what may be stored, for how long, and what a stored answer may still be used for.
//! In: heads of requests and answers, a policy, times. Out: grants, refusals and verdicts, each with
//! the rule that made it, so that `Cache-Status` and `cache why` can name it.
//! Never: I/O, clocks, or a store of its own. Time and everything else come as arguments.

pub mod age;
pub mod conditional;
pub mod dates;
pub mod dictionary;
pub mod directives;
pub mod freshen;
pub mod freshness;
pub mod invalidate;
pub mod link;
pub mod multipart;
pub mod range;
pub mod reason;
pub mod serve;
pub mod store;
pub mod targeted;
pub mod vary;

#[cfg(test)]
mod conditional_tests;
#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod directives_tests;
#[cfg(test)]
mod range_tests;
#[cfg(test)]
mod serve_tests;

use http::{HeaderMap, Method, StatusCode};

pub use age::Arrival;
pub use conditional::Validators;
pub use freshness::Freshness;
pub use reason::{Refusal, Rule};
pub use serve::{Failure, Verdict, decide, may_serve_stale_on_error};
pub use store::{Grant, may_store};

/// What the rules read of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// Method.
    pub method: &'a Method,
    /// End-to-end fields.
    pub fields: &'a HeaderMap,
}

/// What the rules read of an answer.
#[derive(Debug, Clone, Copy)]
pub struct AnswerView<'a> {
    /// Final status.
    pub status: StatusCode,
    /// Fields as the origin sent them.
    pub fields: &'a HeaderMap,
}
