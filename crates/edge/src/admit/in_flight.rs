//! How many requests are in the rooms at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind};

/// The count, one for the process: cores share the limit.
#[derive(Debug, Default, Clone)]
pub struct InFlight(Arc<AtomicUsize>);

/// A request that is counted until this is dropped.
#[derive(Debug)]
pub struct Limit(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one request in, or refuses it above `most`.
    pub fn enter(&self, most: usize) -> Result<Limit, Error> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let limit = Limit(Arc::clone(&self.0));
        if before >= most {
            return Err(Error::new(ErrorKind::Saturated, "too many requests in flight"));
        }
        Ok(limit)
    }

    /// Requests in the rooms now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_leaves_no_trace_in_the_count() {
        let in_flight = InFlight::default();
        let first = in_flight.enter(1).expect("there is room");
        assert_eq!(in_flight.enter(1).expect_err("full").kind(), ErrorKind::Saturated);
        assert_eq!(in_flight.count(), 1);
        drop(first);
        drop(in_flight.enter(1).expect("there is room again"));
    }
}
