//! Where a reader stands.

use std::task::{Context, Waker};

/// Whose answer it is if it cannot be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Asker,
    Follower,
}

/// A reader's place in the body.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) position: u64,
    pub(super) waker: Option<Waker>,
    pub(super) is_cut: bool,
}

impl Place {
    pub(super) fn new(role: Role) -> Place {
        Place { role, position: 0, waker: None, is_cut: false }
    }

    pub(super) fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}
