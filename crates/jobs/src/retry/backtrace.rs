//! Where it happened, as the payload carries it.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::job::Job;

/// Lines that are kept of a backtrace, and bytes of all of them.
const MAX_BACKTRACE_LINES: usize = 1_000;
const MAX_BACKTRACE_BYTES: usize = 256 * 1_024;

/// The first lines as a JSON list, deflated (RFC 1950), in base64 (RFC 4648 §4).
pub(super) fn compressed(backtrace: &[String], lines: usize) -> Option<String> {
    let mut bytes = 0;
    let kept = backtrace.iter().take(lines.min(MAX_BACKTRACE_LINES)).take_while(|line| {
        bytes += line.len();
        bytes <= MAX_BACKTRACE_BYTES
    });
    let json = serde_json::to_vec(&kept.collect::<Vec<_>>()).ok()?;
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflated.write_all(&json).ok()?;
    Some(STANDARD.encode(deflated.finish().ok()?))
}

/// Reads `error_backtrace` in each form that was ever written: strict and line-wrapped base64 of a deflated
/// list, or the list itself (Sidekiq 5 and older). Nothing if the job has none that can be read.
///
/// ```
/// use forebay_jobs::{job::Job, retry::backtrace_of};
/// let json = r#"{"class":"A","args":[],"jid":"1","error_backtrace":["a.rb:1","b.rb:2"]}"#;
/// let job = Job::parse(json.into())?;
/// assert_eq!(backtrace_of(&job), Some(vec!["a.rb:1".to_owned(), "b.rb:2".to_owned()]));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
pub fn backtrace_of(job: &Job) -> Option<Vec<String>> {
    const MOST: u64 = 4 << 20;
    let json = job.field("error_backtrace")?;
    if json.starts_with('[') {
        return serde_json::from_str(&json).ok();
    }
    let mut text: String = serde_json::from_str(&json).ok()?;
    text.retain(|c| !c.is_ascii_whitespace());
    let deflated = STANDARD.decode(text).ok()?;
    let mut list = Vec::new();
    // A small payload can hold a large list: no more than this is read.
    flate2::read::ZlibDecoder::new(&deflated[..]).take(MOST).read_to_end(&mut list).ok()?;
    serde_json::from_slice(&list).ok()
}
