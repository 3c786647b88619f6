//! The ground of Forebay: clock, counters, histograms, journal, drain.
//!
//! Every engine stands on this crate and it imports none of them. It never knows what it counts:
//! names and labels are defined in the room that uses them.

pub mod clock;
pub mod counter;
pub mod drain;
pub mod histogram;
pub mod journal;
pub mod prometheus;
