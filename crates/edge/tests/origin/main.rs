//! The room `origin` against real servers: those that behave, those that do not, and a child.

mod child;
mod faults;
mod protocols;
mod serving;
mod support;
