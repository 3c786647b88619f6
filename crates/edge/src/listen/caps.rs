//! How many connections may be open: in all, of one address, of one network.
//!
//! The counts stand in tables of fixed size, so that no number of attackers grows them. An address
//! has one cell in each of [`ROWS`] rows and its count is the least of them: a cell shared with
//! others may count too much, all of them together hardly ever. The hash is seeded, so that nobody
//! can aim at the cells of another.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::config::admit::Admit;
use crate::exchange::network;

const ROWS: usize = 4;
/// Cells of a row: 16 bits of hash choose one. Both tables together take 2 MiB.
const WIDTH: usize = 1 << 16;

/// Which cap was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// All clients together.
    Total,
    /// One IPv4 address or IPv6 /64.
    Address,
    /// One /24 or /48.
    Network,
}

/// The counts of a process.
#[derive(Debug)]
pub(super) struct Caps {
    total: AtomicUsize,
    addresses: Table,
    networks: Table,
    seed: RandomState,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            total: AtomicUsize::new(0),
            addresses: Table::default(),
            networks: Table::default(),
            seed: RandomState::new(),
        }
    }
}

impl Caps {
    /// Takes a place for a connection; a client without address counts in the total alone.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        limits: &Admit,
    ) -> Result<Place, Refused> {
        let mut place = Place { caps: Arc::clone(self), address: None, network: None };
        // From here on dropping `place` gives back what it holds.
        if self.total.fetch_add(1, Ordering::Relaxed) >= limits.max_connections {
            return Err(Refused::Total);
        }
        if let Some(address) = address {
            place.count_as(address, limits)?;
        }
        Ok(place)
    }

    /// Places taken.
    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn cells(&self, prefix: impl Hash) -> Cells {
        let hash = self.seed.hash_one(prefix).to_le_bytes();
        let (pairs, _) = hash.as_chunks::<2>();
        let mut cells = [0; ROWS];
        for (cell, pair) in cells.iter_mut().zip(pairs) {
            *cell = u16::from_le_bytes(*pair);
        }
        cells
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    caps: Arc<Caps>,
    address: Option<Cells>,
    network: Option<Cells>,
}

impl Place {
    /// Counts the connection as this client's, once. If that is too much the place must be given back.
    pub(super) fn count_as(&mut self, address: IpAddr, limits: &Admit) -> Result<(), Refused> {
        let (address, network) = prefixes(address);
        let cells = self.caps.cells(address);
        self.address = Some(cells);
        if self.caps.addresses.add(cells) > limits.max_connections_per_address {
            return Err(Refused::Address);
        }
        let cells = self.caps.cells(network);
        self.network = Some(cells);
        if self.caps.networks.add(cells) > limits.max_connections_per_network {
            return Err(Refused::Network);
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.caps.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(cells) = self.address {
            self.caps.addresses.subtract(cells);
        }
        if let Some(cells) = self.network {
            self.caps.networks.subtract(cells);
        }
    }
}

type Cells = [u16; ROWS];

#[derive(Debug)]
struct Table {
    rows: [Box<[AtomicU32]>; ROWS],
}

impl Default for Table {
    fn default() -> Table {
        let row = || (0..WIDTH).map(|_| AtomicU32::new(0)).collect();
        Table { rows: [row(), row(), row(), row()] }
    }
}

impl Table {
    /// Adds one and returns the count.
    fn add(&self, cells: Cells) -> usize {
        let counts = self.of(cells).map(|cell| cell.fetch_add(1, Ordering::Relaxed) + 1);
        counts.min().map_or(0, |count| count as usize)
    }

    fn subtract(&self, cells: Cells) {
        self.of(cells).for_each(|cell| {
            cell.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn of(&self, cells: Cells) -> impl Iterator<Item = &AtomicU32> {
        self.rows.iter().zip(cells).filter_map(|(row, cell)| row.get(usize::from(cell)))
    }
}

/// What stands for one client and for its network. A household has a /64 of its own, a site a /48.
fn prefixes(address: IpAddr) -> (IpAddr, IpAddr) {
    (network(address, 32, 64), network(address, 24, 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, address: usize, network: usize) -> Admit {
        Admit {
            max_connections: total,
            max_connections_per_address: address,
            max_connections_per_network: network,
            ..Admit::default()
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_a_network_and_all_together_are_capped() {
        let caps = Arc::new(Caps::default());
        let limits = limits(5, 2, 3);
        let mut places = Vec::new();
        let mut enter =
            |text| caps.enter(Some(address(text)), &limits).map(|place| places.push(place));
        assert_eq!(enter("192.0.2.1"), Ok(()));
        assert_eq!(enter("192.0.2.1"), Ok(()));
        assert_eq!(enter("192.0.2.1"), Err(Refused::Address));
        assert_eq!(enter("::ffff:192.0.2.1"), Err(Refused::Address), "the same client, mapped");
        assert_eq!(enter("192.0.2.2"), Ok(()));
        assert_eq!(enter("192.0.2.3"), Err(Refused::Network));
        assert_eq!(enter("2001:db8::1"), Ok(()));
        assert_eq!(enter("2001:db8:1::1"), Ok(()));
        assert_eq!(enter("2001:db8:2::1"), Err(Refused::Total));
    }

    #[test]
    fn an_ipv6_household_counts_as_one_and_a_site_as_one_network() {
        let caps = Arc::new(Caps::default());
        let limits = limits(100, 2, 3);
        let enter = |text| caps.enter(Some(address(text)), &limits);
        let _a = enter("2001:db8:0:1::1").expect("room");
        let _b = enter("2001:db8:0:1:ffff::2").expect("room");
        assert_eq!(enter("2001:db8:0:1::3").err(), Some(Refused::Address));
        let _c = enter("2001:db8:0:2::1").expect("room");
        assert_eq!(enter("2001:db8:0:3::1").err(), Some(Refused::Network));
    }

    #[test]
    fn a_refused_connection_and_a_closed_one_leave_nothing_behind() {
        let caps = Arc::new(Caps::default());
        let limits = limits(10, 1, 10);
        let first = caps.enter(Some(address("192.0.2.1")), &limits).expect("room");
        for _ in 0..100 {
            assert!(caps.enter(Some(address("192.0.2.1")), &limits).is_err());
        }
        assert_eq!(caps.total(), 1);
        drop(first);
        assert_eq!(caps.total(), 0);
        assert!(caps.enter(Some(address("192.0.2.1")), &limits).is_ok());
    }

    #[test]
    fn many_others_do_not_fill_the_cells_of_one() {
        let caps = Arc::new(Caps::default());
        let limits = limits(100_000, 16, 100_000);
        let others: Vec<_> = (0..20_000_u32)
            .map(|n| caps.enter(Some(IpAddr::from((n << 8).to_be_bytes())), &limits))
            .collect();
        assert!(others.iter().all(Result::is_ok));
        assert!(caps.enter(Some(address("203.0.113.9")), &limits).is_ok());
    }
}
