//! HTTP/1.0 and 1.1 towards clients (RFC 9112), with a parser that is itself the strict gate.
//!
//! In: a byte stream. Out: one [`crate::exchange::Exchange`] a request, in order; the answers as
//! bytes. There is one parser: what it lets through is what everything behind it sees, and the
//! origin gets a head written anew. It never repairs a message: what is ambiguous is refused with
//! 400 or 501 and the connection closes, so that edge and origin cannot disagree on where a message
//! ends (request smuggling).

pub mod chunked;
pub mod fields;
pub mod head;
pub mod target;
