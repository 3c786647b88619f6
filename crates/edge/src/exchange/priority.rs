//! What a request has to lose when an origin takes fewer than come.

/// In the order in which requests are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(usize)]
pub enum Priority {
    /// A stored answer may stand in by the rules: nobody loses anything.
    Covered,
    /// Nothing stands in, and the client shows neither cookie nor credentials: it has begun nothing yet.
    #[default]
    Unknown,
    /// Nothing stands in, and the client has been here before.
    Known,
    /// A stored answer would have to be used for longer than it was meant to be.
    Overdue,
}

impl Priority {
    /// All of them, the first to be given up first.
    pub const ALL: [Priority; 4] =
        [Priority::Covered, Priority::Unknown, Priority::Known, Priority::Overdue];

    /// Label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Priority::Covered => "covered",
            Priority::Unknown => "unknown",
            Priority::Known => "known",
            Priority::Overdue => "overdue",
        }
    }
}
