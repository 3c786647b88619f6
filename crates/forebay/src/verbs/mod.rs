//! The verbs of the command line, one file each.

pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod jobs;
pub(crate) mod maintenance;
pub(crate) mod mark;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod top;
