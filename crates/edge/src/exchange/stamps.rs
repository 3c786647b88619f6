//! One time stamp a room.

use std::time::{Duration, Instant};

use forebay_signals::clock;

/// The rooms of the edge, in the order in which a request walks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Room {
    /// Read from the socket.
    Listen,
    /// Let in.
    Admit,
    /// Matched.
    Route,
    /// Looked up.
    Cache,
    /// Encoded.
    Compress,
    /// First byte from the application.
    Origin,
}

impl Room {
    /// All rooms in order.
    pub const ALL: [Room; 6] =
        [Room::Listen, Room::Admit, Room::Route, Room::Cache, Room::Compress, Room::Origin];

    /// The room's name as it stands in config, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Room::Listen => "listen",
            Room::Admit => "admit",
            Room::Route => "route",
            Room::Cache => "cache",
            Room::Compress => "compress",
            Room::Origin => "origin",
        }
    }
}

/// When each room was left, relative to the moment the head was complete; of `listen`, how long it read
/// before. Microseconds.
#[derive(Debug, Clone)]
pub struct Stamps {
    began: Instant,
    is_read: bool,
    /// The request becomes a span.
    pub is_traced: bool,
    left_us: [Option<u32>; Room::ALL.len()],
}

impl Stamps {
    /// Starts at `now`.
    pub fn new(now: Instant) -> Stamps {
        Stamps { began: now, is_read: true, is_traced: false, left_us: [None; Room::ALL.len()] }
    }

    /// Nobody will read the stamps of single rooms: the clock need not be asked for them.
    pub fn only_the_beginning(&mut self) {
        self.is_read = false;
    }

    /// Notes that the head's first byte came at `first_byte`.
    pub fn read_since(&mut self, first_byte: Instant) {
        let us = self.began.saturating_duration_since(first_byte).as_micros();
        self.left_us[Room::Listen as usize] = Some(u32::try_from(us).unwrap_or(u32::MAX));
    }

    /// Notes that `room` is done now.
    pub fn leave(&mut self, room: Room) {
        if self.is_read {
            self.leave_at(room, clock::now());
        }
    }

    /// Notes that `room` was done at `now`.
    pub fn leave_at(&mut self, room: Room, now: Instant) {
        let us = now.saturating_duration_since(self.began).as_micros();
        self.left_us[room as usize] = Some(u32::try_from(us).unwrap_or(u32::MAX));
    }

    /// When the head was complete.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Time from the beginning until `room` was done; `None` if the request never came there.
    pub fn until(&self, room: Room) -> Option<Duration> {
        self.left_us[room as usize].map(|us| Duration::from_micros(u64::from(us)))
    }

    /// Time spent in each room that was visited, in the order of time: `compress` works on what `origin` has
    /// brought.
    pub fn spans(&self) -> impl Iterator<Item = (Room, Duration)> + '_ {
        const IN_TIME: [Room; Room::ALL.len()] =
            [Room::Listen, Room::Admit, Room::Route, Room::Cache, Room::Origin, Room::Compress];
        let mut before = 0;
        IN_TIME.into_iter().filter_map(move |room| {
            let left = self.left_us[room as usize]?;
            if room == Room::Listen {
                return Some((room, Duration::from_micros(u64::from(left))));
            }
            let span = left.saturating_sub(before);
            before = left.max(before);
            Some((room, Duration::from_micros(u64::from(span))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_origin_is_not_that_of_compress() {
        let began = clock::now();
        let mut stamps = Stamps::new(began);
        for (room, us) in [(Room::Cache, 10), (Room::Origin, 1_010), (Room::Compress, 1_030)] {
            stamps.leave_at(room, began + Duration::from_micros(us));
        }
        let spans: Vec<_> = stamps.spans().map(|(room, span)| (room, span.as_micros())).collect();
        assert_eq!(spans, [(Room::Cache, 10), (Room::Origin, 1_000), (Room::Compress, 20)]);
    }
}
