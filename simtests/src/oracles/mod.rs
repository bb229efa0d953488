//! What must hold: one small oracle each, fed from what the simulator sees, with the ground truth beside it.

mod amo;
mod dropped;
mod handover;
mod hooks;
pub(crate) mod ledger;
mod liveness;
mod moves;
mod outcome;
mod overlap;
mod quorum;
mod requests;
mod restarts;
mod roles;
mod rows;
pub(crate) mod seen;
mod starts;
mod steps;
#[cfg(test)]
mod tests;
pub(crate) mod truth;

use std::collections::BTreeMap;

use seen::{Oracle, Seen, Verdict, Violation, kind};
use truth::{Bounds, Truth};

/// The ground truth and all oracles.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What the oracles see beside each event.
    pub(crate) truth: Truth,
    oracles: Vec<Box<dyn Oracle>>,
    checked: Vec<u64>,
    wanted: Vec<Vec<usize>>,
    /// What must not be and was.
    pub(crate) violations: Vec<Violation>,
}

/// What honest members keep whatever one of them is told by another.
const DESPITE_INSIDER: [&str; 4] = ["S1", "S10", "S26", "S27"];
/// And what they keep besides where it speaks in its own name only.
const OF_OTHERS: [&str; 4] = ["S9", "S11", "L1", "L6"];

/// One of each oracle.
fn all() -> Vec<Box<dyn Oracle>> {
    vec![
        Box::new(starts::OnePerNode),
        Box::new(overlap::SettledSingleton),
        Box::new(overlap::DuplicateWindow::default()),
        Box::new(quorum::Mutex::default()),
        Box::new(quorum::TokenOrder::default()),
        Box::new(quorum::NoStartWhenLocked),
        Box::new(starts::NoResurrection::default()),
        Box::new(outcome::StopScope),
        Box::new(rows::Monotonic::default()),
        Box::new(rows::OwnRows::default()),
        Box::new(rows::NoPhantom),
        Box::new(overlap::Copies::default()),
        Box::new(roles::OneActive::default()),
        Box::new(roles::AnActive),
        Box::new(moves::ColdOrder),
        Box::new(handover::Continuity::default()),
        Box::new(handover::StateMoves::default()),
        Box::new(handover::Abort::default()),
        Box::new(handover::Autonomous::default()),
        Box::new(dropped::Dropped::default()),
        Box::new(moves::Guided::default()),
        Box::new(moves::PureOwner::default()),
        Box::new(requests::Once::default()),
        Box::new(requests::Honest::default()),
        Box::new(hooks::Order::default()),
        Box::new(hooks::Once::default()),
        Box::new(restarts::RestartRule::default()),
        Box::new(steps::BoundedQueues),
        Box::new(steps::NoLoop),
        Box::new(amo::AtMostOnce::default()),
        Box::new(starts::Unique::default()),
        Box::new(rows::Mirror::default()),
        Box::new(rows::Alike),
        Box::new(outcome::Agreement),
        Box::new(outcome::NoneLost),
        Box::new(outcome::NoZombie),
        Box::new(outcome::Acknowledged),
        Box::new(quorum::Unlocks),
        Box::new(liveness::NothingOpen),
        Box::new(liveness::NoOscillation::default()),
        Box::new(liveness::Quiet::default()),
        Box::new(liveness::Joins),
        Box::new(liveness::Memory),
    ]
}

impl Watch {
    /// Over so many hosts.
    #[must_use]
    pub(crate) fn new(hosts: usize, bounds: Bounds) -> Self {
        let oracles = all();
        let wanted = (0..kind::COUNT)
            .map(|bit| {
                let wants = |oracle: &dyn Oracle| oracle.wants() & (1 << bit) != 0;
                oracles
                    .iter()
                    .enumerate()
                    .filter(|(_, oracle)| wants(oracle.as_ref()))
                    .map(|(index, _)| index)
                    .collect()
            })
            .collect();
        let checked = vec![0; oracles.len()];
        Self { truth: Truth::new(hosts, bounds), oracles, checked, wanted, violations: Vec::new() }
    }

    /// The ids of all oracles.
    #[must_use]
    pub(crate) fn ids() -> Vec<&'static str> {
        all().iter().map(|oracle| oracle.id()).collect()
    }

    /// Tells the truth and then the oracles what was seen at `now`.
    pub(crate) fn see(&mut self, now: u64, seen: &Seen<'_>) {
        self.truth.now = now;
        self.truth.see(seen);
        for index in &self.wanted[seen.kind().trailing_zeros() as usize] {
            let oracle = &mut self.oracles[*index];
            let checked = &mut self.checked[*index];
            let mut verdict = Verdict { now, oracle: oracle.id(), checked, violations: &mut self.violations };
            oracle.see(seen, &self.truth, &mut verdict);
        }
        // Where a member says anything, less is asked, and of the others only.
        if self.truth.insider.is_some() && !self.violations.is_empty() {
            let insider = self.truth.insider;
            let of_others = !self.truth.in_all_names;
            let asked = |found: &Violation| {
                let asked = DESPITE_INSIDER.contains(&found.oracle) || of_others && OF_OTHERS.contains(&found.oracle);
                asked && found.host != insider
            };
            self.violations.retain(asked);
        }
    }

    /// Something that must not be, found by other means than an oracle's.
    pub(crate) fn fail(&mut self, oracle: &'static str, now: u64, text: String) {
        self.violations.push(Violation { oracle, time: now, host: None, child: None, text });
    }

    /// How often each oracle had something real to check.
    #[must_use]
    pub(crate) fn checked(&self) -> BTreeMap<&'static str, u64> {
        self.oracles.iter().zip(&self.checked).map(|(oracle, checked)| (oracle.id(), *checked)).collect()
    }
}
