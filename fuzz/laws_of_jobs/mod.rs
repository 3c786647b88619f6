//! What holds for whatever foreign bytes the job engine reads, one function a fuzz target.
//!
//! The fuzz targets call them with whatever libFuzzer finds; `crates/jobs/tests/corpora.rs` calls them with
//! the corpora. A law panics when it is broken.

mod job;
mod time;

use job::job;
use time::{cron, moment};

/// A function that judges one input.
pub(crate) type Law = fn(&[u8]);

/// Every law by the name of its fuzz target.
pub(crate) const ALL: [(&str, Law); 3] = [("job", job), ("cron", cron), ("moment", moment)];

/// Judges one input by the law of this name.
pub(crate) fn judge(name: &str, bytes: &[u8]) {
    let (_, law) = ALL.iter().find(|(known, _)| *known == name).expect("every target has a law");
    law(bytes);
}
