//! The real executable in a fresh folder: what it prints, how it ends, what it does to clients.

mod operators;
mod refusals;
mod serving;
mod support;
mod wrapping;
