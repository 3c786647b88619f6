//! `[log]`: the access log.

use std::path::PathBuf;

/// Form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line, with the time that each room took.
    #[default]
    Json,
    /// The combined log format.
    Common,
    /// No access log.
    Off,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Form.
    pub format: Format,
    /// File; `None` is standard output.
    pub path: Option<PathBuf>,
}
