//! Names of keys: Sidekiq's own as they are, and ours beside them, which Ruby never looks at.

use super::super::Owner;

/// Names of all queues.
pub(super) const QUEUES: &str = "queues";
/// Queues that are paused, as Sidekiq Pro has it.
pub(super) const PAUSED: &str = "paused";
/// Processes that beat.
pub(super) const PROCESSES: &str = "processes";
/// Classes that are paused.
pub(super) const PAUSED_CLASSES: &str = "fb:paused";
/// Timetables that are paused.
pub(super) const PAUSED_TIMETABLES: &str = "fb:paused:timetables";
/// Owners of leases, by the moment until which each is taken to be alive. No key of it ends by itself: a
/// lease that ended so would be a lost job.
pub(super) const ALIVE: &str = "fb:alive";
/// The last tick of each timetable.
pub(super) const FIRED: &str = "fb:fired";
/// Places of parked jobs.
pub(super) const PARKS: &str = "fb:parks";

/// A queue: Sidekiq's list, its head the newest.
pub(super) fn queue(name: &str) -> String {
    format!("queue:{name}")
}

/// Ids of jobs that were removed from a queue and still lie in it.
pub(super) fn gone(queue: &str) -> String {
    format!("{{queue:{queue}}}:gone")
}

/// Leases of an owner: a hash of `token:queue` to the job as it was pushed.
pub(super) fn leases(owner: &Owner) -> String {
    format!("fb:lease:{}", owner.as_str())
}

/// Where jobs of a class wait that came from a queue, as it stands in [`PARKS`].
pub(super) fn place(class: &str, queue: &str) -> String {
    format!("{}:{class}:{queue}", class.len())
}

/// The class and the queue of a place.
pub(super) fn of_place(place: &str) -> Option<(&str, &str)> {
    let (len, rest) = place.split_once(':')?;
    let (class, queue) = rest.split_at_checked(len.parse().ok()?)?;
    Some((class, queue.strip_prefix(':')?))
}

/// The list of parked jobs of a place.
pub(super) fn park(place: &str) -> String {
    format!("fb:park:{place}")
}

/// A lock of unique jobs.
pub(super) fn lock(key: &str) -> String {
    format!("fb:lock:{key}")
}

/// A role.
pub(super) fn role(name: &str) -> String {
    format!("fb:role:{name}")
}

/// What is kept beside a job: Sidekiq's own name for jobs that go on where they stopped.
pub(super) fn note(id: &str) -> String {
    format!("it-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_apart_whatever_is_in_it() {
        for (class, queue) in [("A::B", "low"), ("", ""), ("3:x", "a:b:c"), ("é", "é")] {
            assert_eq!(of_place(&place(class, queue)), Some((class, queue)));
        }
        for strange in ["", "x:y:z", "9:a:b", "1:ab:c", "1:é:c"] {
            assert_eq!(of_place(strange), None, "{strange}");
        }
    }
}
