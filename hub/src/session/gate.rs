//! The door: how many strangers may stand in it, in all, from one address, and how fast they may come.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use process_hub_core::Time;

use crate::options::LinkLimits;
use crate::transport::Peer;

/// The first wait of an address whose handshake failed; doubles with each further failure.
const PENALTY: Duration = Duration::from_millis(100);
/// The longest such wait, and how long a failure is remembered.
const PENALTY_MAX: Duration = Duration::from_secs(10);
/// Addresses whose failures are remembered.
const PENALTIES: usize = 1_024;

/// Counts the connections that have not proved themselves.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: LinkLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    strangers: usize,
    by_ip: HashMap<IpAddr, usize>,
    penalties: HashMap<IpAddr, Penalty>,
    // Connections that may still come in the second that began at `since`.
    since: Option<Time>,
    accepted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Time,
    failures: u32,
}

/// A stranger's place in the door, given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Gate,
    ip: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(limits: LinkLimits) -> Self {
        Self(Arc::new(Inner { limits, state: Mutex::default() }))
    }

    /// A place for a stranger, if there is one.
    pub(crate) fn admit(&self, now: Time, peer: &Peer) -> Option<Ticket> {
        // Processes of one machine share one address; who can open connections there can do worse.
        let ip = peer.ip.filter(|ip| !ip.is_loopback());
        let limits = &self.0.limits;
        let mut state = self.state();
        if !state.within_rate(now, limits.accepts_per_second) || state.strangers >= limits.strangers {
            return None;
        }
        if let Some(ip) = ip {
            if state.penalties.get(&ip).is_some_and(|penalty| penalty.until > now) {
                return None;
            }
            let count = state.by_ip.entry(ip).or_default();
            if *count >= limits.strangers_per_ip {
                return None;
            }
            *count += 1;
        }
        state.strangers += 1;
        Some(Ticket { gate: self.clone(), ip })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn within_rate(&mut self, now: Time, limit: u32) -> bool {
        if self.since.is_none_or(|since| now.since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.accepted = 0;
        }
        self.accepted += 1;
        self.accepted <= limit
    }
}

impl Ticket {
    /// Takes note that this stranger's handshake failed: its address waits before it is let in again.
    pub(crate) fn failed(&self, now: Time) {
        let Some(ip) = self.ip else { return };
        let mut state = self.gate.state();
        state.penalties.retain(|_, penalty| now.since(penalty.until) < PENALTY_MAX);
        let failures = state.penalties.get(&ip).map_or(0, |penalty| penalty.failures);
        let wait = PENALTY.saturating_mul(1 << failures.min(10)).min(PENALTY_MAX);
        if state.penalties.len() < PENALTIES || failures > 0 {
            state.penalties.insert(ip, Penalty { until: now + wait, failures: failures + 1 });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.strangers = state.strangers.saturating_sub(1);
        let Some(ip) = self.ip else { return };
        if let Some(count) = state.by_ip.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use process_hub_core::id::Addr;

    use super::*;

    fn peer(last: u8) -> Peer {
        let ip = IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        Peer { addr: Addr::new(format!("{ip}:1")), ip: Some(ip) }
    }

    #[test]
    fn strangers_are_counted_in_all_and_by_address_and_leave_again() {
        let gate = Gate::new(LinkLimits { strangers: 3, strangers_per_ip: 2, ..LinkLimits::default() });
        let now = Time::ZERO;
        let first = gate.admit(now, &peer(1)).unwrap();
        let _second = gate.admit(now, &peer(1)).unwrap();
        assert!(gate.admit(now, &peer(1)).is_none(), "two from one address");
        let _third = gate.admit(now, &peer(2)).unwrap();
        assert!(gate.admit(now, &peer(3)).is_none(), "three in all");
        drop(first);
        assert!(gate.admit(now, &peer(1)).is_some());
    }

    #[test]
    fn loopback_is_exempt_from_the_limit_by_address_only() {
        let gate = Gate::new(LinkLimits { strangers: 3, strangers_per_ip: 1, ..LinkLimits::default() });
        let local = Peer { addr: Addr::new("127.0.0.1:1"), ip: Some(Ipv4Addr::LOCALHOST.into()) };
        let tickets: Vec<_> = (0..4).filter_map(|_| gate.admit(Time::ZERO, &local)).collect();
        assert_eq!(tickets.len(), 3);
    }

    #[test]
    fn no_more_than_the_rate_in_any_second() {
        let gate = Gate::new(LinkLimits { accepts_per_second: 2, ..LinkLimits::default() });
        let admitted = |at| gate.admit(Time::from_millis(at), &peer(1)).is_some();
        assert_eq!([admitted(0), admitted(10), admitted(20), admitted(1_001)], [true, true, false, true]);
    }

    #[test]
    fn an_address_that_failed_waits_and_each_time_longer() {
        let gate = Gate::new(LinkLimits::default());
        let at = Time::from_millis;
        gate.admit(at(0), &peer(1)).unwrap().failed(at(0));
        assert!(gate.admit(at(99), &peer(1)).is_none());
        gate.admit(at(100), &peer(1)).unwrap().failed(at(100));
        assert!(gate.admit(at(299), &peer(1)).is_none());
        assert!(gate.admit(at(299), &peer(2)).is_some(), "others do not wait");
        assert!(gate.admit(at(301), &peer(1)).is_some());
    }
}
