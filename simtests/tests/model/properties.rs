//! What must hold in every state. The numbers are those of the simulator's oracles.

use std::collections::BTreeSet;

use process_hub_core::config::Model as Serving;
use process_hub_core::id::ChildId;
use process_hub_core::spec::Role;
use stateright::Property;

use crate::cluster::{Cluster, pairs};
use crate::state::{Knows, Life, Side, State};

/// The properties of all scenarios.
pub(crate) fn always() -> Vec<Property<Cluster>> {
    vec![
        Property::always("S1 one a node", |_, state: &State| !state.broken.contains("S1")),
        Property::always(
            "S2, S12 one copy, or as many as configured, among those that agree",
            |cluster: &Cluster, state: &State| {
                !all_agree(state) || cluster.children.iter().all(|child| serving(state, child) <= cluster.copies())
            },
        ),
        Property::always("S6 nothing starts where there is no quorum", |_, state: &State| !state.broken.contains("S6")),
        Property::always("S7 what is stopped stays stopped", |_, state: &State| !state.broken.contains("S7")),
        Property::always("S13 one active copy", |cluster: &Cluster, state: &State| {
            let one = |child| active(state, child) <= 1;
            !state.broken.contains("S13")
                && (!cluster.has_one_active() || !all_agree(state) || cluster.children.iter().all(one))
        }),
        Property::always("S14 ended there before it starts here", |_, state: &State| !state.broken.contains("S14")),
        Property::always("S21 one answer a request", |_, state: &State| !state.broken.contains("S21")),
        Property::always("L1, L2, L3 what is at rest is right", |cluster: &Cluster, state: &State| {
            !all_agree(state) || !is_quiet(state) || is_right(cluster, state)
        }),
    ]
}

impl Cluster {
    /// Whether of several copies one is active.
    pub(crate) fn has_one_active(&self) -> bool {
        let redundancy = &self.scenario.config.redundancy;
        redundancy.is_several() && redundancy.model() == Serving::ActivePassive
    }
}

/// Whether all nodes that are up have installed the same view, have heard so from all, and have nothing left to do.
pub(crate) fn all_agree(state: &State) -> bool {
    let hashes: BTreeSet<u64> = state.alive().map(|(_, side)| side.hub.view_hash()).collect();
    hashes.len() == 1 && state.alive().all(|(_, side)| side.hub.is_settled())
}

/// Whether nothing is on its way, and nobody waits for anything but what comes by the clock.
pub(crate) fn is_quiet(state: &State) -> bool {
    let told = pairs().all(|(a, b)| state.sides[a].is_none() || state.knows[a][b] != Knows::Broken);
    let done = |side: &Side| {
        let serving = side.instances.values().all(|instance| instance.life == Life::Serving);
        serving && side.hub.in_flight() == 0 && side.hub.open_requests() == 0
    };
    state.wires.is_empty() && told && state.alive().all(|(_, side)| done(side))
}

/// Whether the registries agree with each other and with what runs, and that with what is declared.
fn is_right(cluster: &Cluster, state: &State) -> bool {
    let digests: BTreeSet<u64> = state.alive().map(|(_, side)| side.hub.registry().declared_digest()).collect();
    // One comparison may still be due, by the clock.
    if digests.len() > 1 {
        return true;
    }
    let owners = |side: &Side, child| side.hub.owners(child).len();
    state.alive().all(|(_, side)| {
        cluster.children.iter().all(|child| {
            let found = side.hub.registry().lookup(child);
            let declared = found.as_ref().is_some_and(|found| found.spec.is_some()) && !side.hub.is_locked();
            let runs = if declared { owners(side, child) } else { 0 };
            let rows = found.map_or(0, |found| found.placements.len());
            serving(state, child) == runs && rows == runs
        })
    })
}

/// How many instances of a child serve anywhere.
pub(crate) fn serving(state: &State, child: &ChildId) -> usize {
    let serves = |side: &Side| side.instances_of(child).filter(|instance| instance.life == Life::Serving).count();
    state.alive().map(|(_, side)| serves(side)).sum()
}

/// How many of them are active.
fn active(state: &State, child: &ChildId) -> usize {
    let active = |side: &Side| {
        let copies = side.instances_of(child);
        copies.filter(|copy| copy.life == Life::Serving && copy.role == Role::Active).count()
    };
    state.alive().map(|(_, side)| active(side)).sum()
}
