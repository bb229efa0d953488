//! Where children go: S14 and S20.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::id::{ChildId, NodeId};
use process_hub_core::request::Request;
use process_hub_core::steering::Steer;
use process_hub_core::{Effect, Input};

use super::ledger::version;
use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// S14: under ColdSwap a copy is started only after the former one has ended, as long as the node of the former one
/// is in the view: with several copies, only where fewer than all of them live elsewhere. Copies of a declaration that is
/// being stopped do not count for the next one.
#[derive(Debug)]
pub(super) struct ColdOrder;

/// Whether two hosts have each other in their views, and had for long enough that `one` does not act on older news.
pub(super) fn mutual(truth: &Truth, one: HostId, other: HostId) -> bool {
    let sees = |from: HostId, to: HostId| {
        let recently = |time: u64| time > 0 && truth.now - time <= truth.bounds.overlap;
        let member = truth.hosts[to].member.as_ref();
        !recently(truth.hosts[from].lost[to]) && member.is_some_and(|member| truth.hosts[from].view.contains(member))
    };
    // Whoever took part before it met the other may start at once what was its own all along: the other has its copy
    // from the time when they were apart, and the two are S3's.
    let met = truth.hosts[one].met[other];
    let apart = met > 0 && truth.now - met <= truth.bounds.overlap;
    sees(one, other) && sees(other, one) && !apart
}

impl Oracle for ColdOrder {
    fn id(&self) -> &'static str {
        "S14"
    }

    fn wants(&self) -> u32 {
        kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Effect { host, effect: Effect::Start { spec, pid, .. } } = *seen else { return };
        if !truth.bounds.cold {
            return;
        }
        if truth.hosts[host].view.len() > 1 {
            verdict.checked();
        }
        let mut sources = truth.live(&spec.id).iter().filter(|key| {
            key.0 != host
                && mutual(truth, host, key.0)
                && !truth.ledger.stop_under_way(version(spec), truth.instances[*key].version)
        });
        if let Some(key) = sources.nth(truth.copies(host) - 1) {
            let source = &truth.instances[key];
            let text = format!("{pid} is started while {} lives on a member of the view", source.pid);
            verdict.fails(Some(host), Some(&spec.id), text);
        }
    }
}

/// S20: by consistent hashing, or by a strategy of one's own that does so, the owners of a child are a function of the set
/// of members and the child's id, and of nothing else. Children that were given to nodes are not placed by it.
#[derive(Debug, Default)]
pub(super) struct PureOwner {
    /// Children that somebody gave to a node: the assignment decides from then on.
    given: BTreeSet<ChildId>,
    /// All may be given to nodes: by a load balancer, by their callers, or to spare or empty a node; or else owners are a
    /// matter of the members' weights, too, since an operator has changed one.
    all_given: bool,
    owners: BTreeMap<(Vec<NodeId>, ChildId), Vec<NodeId>>,
}

impl PureOwner {
    fn note(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Input { input: Input::Request { request, .. }, .. } => match request {
                Request::Steer { act: Steer::Migrate { id, .. }, .. } => drop(self.given.insert(id.clone())),
                Request::Steer { act: Steer::Cordon | Steer::Drain { .. } | Steer::Weight(_), .. } => {
                    self.all_given = true
                }
                Request::Start { options, .. } => self.all_given |= options.child_mapping.is_some(),
                _ => {}
            },
            Seen::Effect { effect: Effect::SampleLoad { .. }, .. } => self.all_given = true,
            _ => {}
        }
    }
}

/// S19: under Guided a child never runs off the nodes that it was mapped to, by the caller of its start or later by an
/// operator.
#[derive(Debug, Default)]
pub(super) struct Guided {
    /// By the version of a start.
    mapped: BTreeMap<u64, Vec<NodeId>>,
    migrated: BTreeMap<ChildId, BTreeSet<NodeId>>,
}

impl Oracle for Guided {
    fn id(&self) -> &'static str {
        "S19"
    }

    fn wants(&self) -> u32 {
        kind::INPUT | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, _truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Input { input: Input::Request { request, .. }, .. } => match request {
                Request::Steer { act: Steer::Migrate { id, to, .. }, .. } => {
                    self.migrated.entry(id.clone()).or_default().insert(to.clone());
                }
                Request::Start { children, options, .. } => {
                    let Some(mapping) = &options.child_mapping else { return };
                    let mapped =
                        children.iter().filter_map(|spec| Some((version(spec), mapping.get(&spec.id)?.clone())));
                    self.mapped.extend(mapped);
                }
                _ => {}
            },
            Seen::Effect { host, effect: Effect::Start { spec, pid, .. } } => {
                let Some(nodes) = self.mapped.get(&version(spec)) else { return };
                let migrated = self.migrated.get(&spec.id).is_some_and(|nodes| nodes.contains(&pid.node));
                verdict.check(nodes.contains(&pid.node) || migrated, host, &spec.id, || {
                    format!("{pid} is started, and it is mapped to {nodes:?}")
                });
            }
            _ => {}
        }
    }
}

impl Oracle for PureOwner {
    fn id(&self) -> &'static str {
        "S20"
    }

    fn wants(&self) -> u32 {
        kind::ROW | kind::INPUT | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        self.note(seen);
        let Seen::Row { host, id, lookup, owners } = *seen else { return };
        if self.all_given || self.given.contains(id) {
            return;
        }
        if truth.bounds.by_recipe && lookup.is_none_or(|row| row.spec.is_none()) {
            verdict.check(owners.is_empty(), host, id, || format!("it is not declared and belongs to {owners:?}"));
            return;
        }
        let here = &truth.hosts[host];
        // Members that are still joining or already leaving own nothing, which is not a matter of the set alone.
        if here.settled.is_none() || here.view.len() < 2 {
            return;
        }
        let mut names: Vec<_> = here.view.iter().map(|member| member.node.clone()).collect();
        names.sort_unstable();
        match self.owners.get(&(names.clone(), id.clone())) {
            Some(known) => {
                let same = known == owners;
                verdict.check(same, host, id, || format!("the owners among {names:?} are {owners:?}, were {known:?}"));
            }
            None => {
                self.owners.insert((names, id.clone()), owners.to_vec());
            }
        }
    }
}
