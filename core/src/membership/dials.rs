//! Which addresses are dialled, and when: at most one dial at a time each, and ever more slowly where none succeeds.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Due;
use super::queue::{Queue, Ticket};
use crate::config::MembershipConfig;
use crate::id::{Addr, NodeId};
use crate::time::Time;

/// A dial that was not answered for so long never will be.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
struct Dial {
    /// Named by the configuration: never forgotten.
    seed: bool,
    /// It turned out to be this very node.
    myself: bool,
    in_flight: bool,
    failures: u32,
    ticket: Option<Ticket>,
    /// Who answered there last, where it listens under another address.
    answered: Option<NodeId>,
}

#[derive(Debug)]
pub(super) struct Dials {
    dials: BTreeMap<Addr, Dial>,
    shortest: Duration,
    longest: Duration,
    rng: ChaCha8Rng,
}

impl Dials {
    pub(super) fn new(config: &MembershipConfig, seed: u64) -> Self {
        Self {
            dials: BTreeMap::new(),
            shortest: config.redial_min,
            longest: config.redial_max,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Has `addr` dialled for ever.
    pub(super) fn add_seed(&mut self, addr: &Addr, queue: &mut Queue<Due>) {
        self.dials.entry(addr.clone()).or_default().seed = true;
        self.at(addr, Time::ZERO, queue);
    }

    pub(super) fn is_seed(&self, addr: &Addr) -> bool {
        self.dials.get(addr).is_some_and(|dial| dial.seed)
    }

    /// Has `addr` dialled at `at`, unless it is to be dialled before or is being dialled.
    pub(super) fn at(&mut self, addr: &Addr, at: Time, queue: &mut Queue<Due>) {
        let dial = self.dials.entry(addr.clone()).or_default();
        if dial.myself || dial.in_flight {
            return;
        }
        match dial.ticket {
            Some((due, _)) if due <= at => return,
            Some(ticket) => queue.cancel(ticket),
            None => {}
        }
        dial.ticket = Some(queue.push(at, Due::Dial(addr.clone())));
    }

    /// Has `addr` dialled after as long a wait as its failures have earned.
    pub(super) fn later(&mut self, addr: &Addr, now: Time, queue: &mut Queue<Due>) {
        let failures = self.dials.get(addr).map_or(0, |dial| dial.failures);
        let wait = self.wait(failures);
        self.at(addr, now + wait, queue);
    }

    /// Its time has come. Says whether to dial it now; `wanted` says whether there is any need.
    pub(super) fn due(&mut self, addr: &Addr, wanted: bool, now: Time, queue: &mut Queue<Due>) -> bool {
        let Some(dial) = self.dials.get_mut(addr) else { return false };
        dial.ticket = None;
        if dial.in_flight {
            dial.in_flight = false;
            dial.failures = dial.failures.saturating_add(1);
        }
        if !wanted || dial.myself {
            dial.failures = 0;
            if !dial.seed {
                self.dials.remove(addr);
            }
            return false;
        }
        dial.in_flight = true;
        dial.ticket = Some(queue.push(now + LIMIT, Due::Dial(addr.clone())));
        true
    }

    /// A dial gave no link; the next is due after a wait, or after `wait` if given.
    pub(super) fn failed(&mut self, addr: &Addr, wait: Option<Duration>, now: Time, queue: &mut Queue<Due>) {
        let dial = self.dials.entry(addr.clone()).or_default();
        dial.in_flight = false;
        dial.failures = dial.failures.saturating_add(1);
        let failures = dial.failures;
        if let Some(ticket) = dial.ticket.take() {
            queue.cancel(ticket);
        }
        let wait = wait.unwrap_or_else(|| self.wait(failures));
        self.at(addr, now + wait, queue);
    }

    /// It is this very node that listens there.
    pub(super) fn is_myself(&mut self, addr: &Addr, queue: &mut Queue<Due>) {
        let dial = self.dials.entry(addr.clone()).or_default();
        dial.myself = true;
        dial.in_flight = false;
        if let Some(ticket) = dial.ticket.take() {
            queue.cancel(ticket);
        }
    }

    /// A link to whoever listens there is open.
    pub(super) fn linked(&mut self, addr: &Addr, queue: &mut Queue<Due>) {
        if let Some(dial) = self.dials.get_mut(addr) {
            dial.in_flight = false;
            // Not forgotten altogether: a link that keeps closing must not be reopened in a tight loop.
            dial.failures = dial.failures.min(2);
            if let Some(ticket) = dial.ticket.take() {
                queue.cancel(ticket);
            }
        }
    }

    /// A member answered there that says it listens elsewhere.
    pub(super) fn answered(&mut self, addr: &Addr, node: &NodeId) {
        if let Some(dial) = self.dials.get_mut(addr) {
            dial.answered = Some(node.clone());
        }
    }

    /// Who answered there last, if it says that it listens elsewhere.
    pub(super) fn who_answered(&self, addr: &Addr) -> Option<&NodeId> {
        self.dials.get(addr)?.answered.as_ref()
    }

    /// Where `node` answered, besides where it says that it listens.
    pub(super) fn aliases_of(&self, node: &NodeId) -> Vec<Addr> {
        let aliases = self.dials.iter().filter(|(_, dial)| dial.answered.as_ref() == Some(node));
        aliases.map(|(addr, _)| addr.clone()).collect()
    }

    /// The link to whoever listens there closed after `life`: at once again, unless it did not last.
    pub(super) fn unlinked(&mut self, addr: &Addr, life: Duration, now: Time, queue: &mut Queue<Due>) {
        let lasted = life >= self.longest;
        let dial = self.dials.entry(addr.clone()).or_default();
        dial.failures = if lasted { 0 } else { dial.failures.saturating_add(1) };
        if lasted || dial.failures == 1 {
            self.at(addr, now, queue);
        } else {
            self.later(addr, now, queue);
        }
    }

    /// No link is left: the seeds that were let rest are wanted sooner.
    pub(super) fn hurry_seeds(&mut self, now: Time, queue: &mut Queue<Due>) {
        let at = now + self.longest;
        let Self { dials, .. } = self;
        for (addr, dial) in dials.iter_mut().filter(|(_, dial)| dial.seed && !dial.myself && !dial.in_flight) {
            if dial.ticket.is_none_or(|(due, _)| due > at) {
                if let Some(ticket) = dial.ticket.take() {
                    queue.cancel(ticket);
                }
                dial.ticket = Some(queue.push(at, Due::Dial(addr.clone())));
            }
        }
    }

    /// The queue has moved an entry.
    pub(super) fn moved(&mut self, addr: &Addr, ticket: Ticket) {
        if let Some(dial) = self.dials.get_mut(addr) {
            dial.ticket = Some(ticket);
        }
    }

    /// Between half and all of a wait that doubles with each failure.
    fn wait(&mut self, failures: u32) -> Duration {
        let doubled = self.shortest.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = u64::try_from(doubled.min(self.longest).as_micros()).unwrap_or(u64::MAX).max(2);
        Duration::from_micros(self.rng.random_range(most / 2..=most))
    }
}
