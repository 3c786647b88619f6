//! HTTP/1.1 towards a server: one connection, used directly by the request that holds it.
//!
//! In: a request. Out: its answer's head, then content in slices of what was read. No task moves its
//! bytes: whoever waits for the answer does, and the request's content is sent while that is read.
//!
//! It never takes bytes of one answer for another's: a connection whose messages did not both end
//! well, or that holds a byte more than its answer, is not used again.

mod connection;
pub mod head;
mod sending;

pub(super) use connection::{Failure, Http1};
pub(super) use sending::line;
