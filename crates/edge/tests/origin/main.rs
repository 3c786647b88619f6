//! The room `origin` against real servers: those that behave, those that do not, and a child.

mod child;
mod faults;
#[path = "../listening/frames.rs"]
#[expect(dead_code, reason = "the client's tests use all of it")]
mod frames;
mod hostile;
mod hostile_http2;
mod protocols;
mod refused;
mod serving;
mod slow;
mod support;
mod trials;
