//! The room `origin` against real servers: those that behave, those that do not, and a child.

mod child;
mod faults;
mod hostile;
mod protocols;
mod refused;
mod serving;
mod support;
