//! How many connections each address has, so that one can't take the room of all. Bounded by the connections there are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses that have connections.
#[derive(Debug, Default)]
pub(super) struct Senders(Mutex<HashMap<IpAddr, u32>>);

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    senders: Arc<Senders>,
    of: IpAddr,
}

impl Senders {
    /// A place for one more; `None`: the address has so many.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Seat> {
        let of = sender(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(of).or_default();
        if *taken >= most.max(1) {
            return None;
        }
        *taken += 1;
        Some(Seat { senders: Arc::clone(self), of })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.senders.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.of) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.of);
            }
        }
    }
}

/// Who counts as one: an IPv4 address, also when written as IPv6; of IPv6 a network of 64 bits, which anybody has whole.
fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_gets_its_share_and_no_more_and_gives_it_back() {
        let senders = Arc::new(Senders::default());
        let seats: Vec<Option<Seat>> = (0..5).map(|_| senders.seat(ip("192.0.2.1"), 3)).collect();
        assert_eq!(seats.iter().flatten().count(), 3);
        assert!(senders.seat(ip("::ffff:192.0.2.1"), 3).is_none(), "the same, written otherwise");
        let other = senders.seat(ip("192.0.2.2"), 3);
        assert!(other.is_some());
        drop(seats);
        assert_eq!(senders.0.lock().unwrap().len(), 1, "who has none is forgotten");
        assert!(senders.seat(ip("192.0.2.1"), 3).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_sender() {
        let senders = Arc::new(Senders::default());
        let seats: Vec<Option<Seat>> = (1..9).map(|n| senders.seat(ip(&format!("2001:db8:0:1::{n}")), 2)).collect();
        assert_eq!(seats.iter().flatten().count(), 2);
        assert!(senders.seat(ip("2001:db8:0:2::1"), 2).is_some());
    }
}
