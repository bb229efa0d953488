//! Pure reads: what operators have said, why a child is where it is, and what a change would move.

use alloc::vec::Vec;

use crate::config::Distribution;
use crate::hub::Hub;
use crate::id::{Boot, ChildId, NodeId};
use crate::message::{Attributes, Phase, RowState};
use crate::registry::{Key, RangeStart, Record};
use crate::steering::{Change, Copy, Explanation, Move, NodeSteering, Obstacle, Plan, Rule, SteerError, Steering};
use crate::time::Time;
use crate::view::{Members, Seat, View};

impl Hub {
    /// What operators have said about where children run, as this node knows.
    #[must_use]
    pub fn steering(&self) -> Steering {
        let nodes = self.view.members().iter().map(|(node, seat)| {
            let Attributes { weight, labels, cordoned, draining, .. } = seat.attributes.clone();
            (node.clone(), NodeSteering { weight, labels, cordoned, draining })
        });
        Steering { paused: self.is_paused(), nodes: nodes.collect() }
    }

    /// Why a child is where it is, as this node sees it. Changes nothing.
    ///
    /// # Errors
    /// [`SteerError::NotFound`] when it is neither declared nor running.
    pub fn explain(&self, id: &ChildId) -> Result<Explanation, SteerError> {
        let key = Key::new(id);
        let record = self.registry.record(&key).ok_or_else(|| SteerError::NotFound(id.clone()))?;
        let owners = match record.subject(&key) {
            Some(subject) => self.view.owners(&subject).into_iter().cloned().collect(),
            None => Vec::new(),
        };
        let seen = record.rows().iter().filter(|row| self.registry.is_visible(row.host));
        let copies: Vec<Copy> = seen
            .map(|row| Copy { pid: self.registry.pid(row), role: row.role, serves: row.state == RowState::Running })
            .collect();
        let obstacles = self.obstacles(&key, record, &owners, &copies);
        Ok(Explanation { id: id.clone(), rule: self.rule(&key, record), owners, copies, obstacles })
    }

    fn rule(&self, key: &Key, record: &Record) -> Rule {
        let assigned = record.winner().and_then(|start| start.assigned.as_deref());
        let assigned = assigned.filter(|assigned| !assigned.nodes.is_empty());
        match (&self.config.distribution, assigned) {
            (Distribution::ConsistentHashing, None) => Rule::Ring { hash: key.hash },
            (Distribution::Guided, Some(assigned)) if assigned.version == 0 => Rule::Mapping(assigned.nodes.clone()),
            (Distribution::CentralizedLoadBalancer(_), Some(assigned)) => Rule::Balancer(assigned.nodes.clone()),
            (_, Some(assigned)) => Rule::Assigned { nodes: assigned.nodes.clone(), by: assigned.by.clone() },
            (Distribution::CentralizedLoadBalancer(_), None) => Rule::Unassigned,
            (_, None) => Rule::Other,
        }
    }

    fn obstacles(&self, key: &Key, record: &Record, owners: &[NodeId], copies: &[Copy]) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let Some(subject) = record.subject(key) else { return obstacles };
        let misplaced: Vec<&NodeId> =
            copies.iter().map(|copy| &copy.pid.node).filter(|node| !owners.contains(node)).collect();
        let missing: Vec<&NodeId> =
            owners.iter().filter(|owner| !copies.iter().any(|copy| copy.serves && copy.pid.node == **owner)).collect();
        if self.quorum.locked {
            obstacles.push(Obstacle::Locked);
        }
        if owners.is_empty() {
            obstacles.push(Obstacle::NoOwner);
        }
        if misplaced.is_empty() && missing.is_empty() {
            return obstacles;
        }
        if !self.view.is_complete() {
            obstacles.push(Obstacle::ViewIncomplete(self.silent().cloned().collect()));
        }
        if self.is_paused() && !misplaced.is_empty() {
            obstacles.push(Obstacle::Paused);
        }
        if self.view.is_held(&subject) {
            obstacles.push(Obstacle::Held);
        }
        obstacles.extend(misplaced.into_iter().cloned().map(Obstacle::Occupied));
        if self.supervisor.is_held(key) {
            let runs = record.mine().is_some_and(|mine| mine.state == RowState::Running);
            obstacles.push(if runs { Obstacle::Deferred } else { Obstacle::BackOff });
        }
        if self.migrations.waits(key) {
            obstacles.push(Obstacle::Queued);
        }
        obstacles.extend(missing.into_iter().cloned().map(Obstacle::Starting));
        obstacles
    }

    /// What a change of the members would move, as this node sees it. Changes nothing. Its cost grows with what would
    /// move, or with the number of children where their owners are more than a matter of the ring.
    ///
    /// # Errors
    /// [`SteerError::NotAMember`] when the change is about a node that is not in the view (or, for a join, is).
    pub fn plan(&self, change: &Change) -> Result<Plan, SteerError> {
        let mut after = self.view.clone();
        after.install(self.changed_members(change)?, Time::ZERO);
        let ranges = match self.view.is_complete() {
            true => after.completed(self.registry.has_exceptions()),
            false => alloc::vec![(0, u64::MAX)],
        };
        let mut plan = Plan::default();
        for (from, to) in ranges {
            for (key, record) in self.registry.range(&RangeStart::Hash(from), to) {
                let Some(planned) = moves(&self.view, &after, key, record) else { continue };
                plan.total += 1;
                if plan.moves.len() < Plan::MOST {
                    plan.moves.push(planned);
                }
            }
        }
        Ok(plan)
    }

    fn changed_members(&self, change: &Change) -> Result<Members, SteerError> {
        let mut members = self.view.members().clone();
        match change {
            Change::Join { node, weight, labels } => {
                let attributes =
                    Attributes { weight: *weight, labels: labels.iter().collect(), ..Attributes::default() };
                let seat = Seat { boot: Boot(0), phase: Phase::Ready, attributes };
                if members.insert(node.clone(), seat).is_some() {
                    return Err(SteerError::NotAMember(node.clone()));
                }
            }
            Change::Leave(node) => {
                members.remove(node).ok_or_else(|| SteerError::NotAMember(node.clone()))?;
            }
            Change::Weight { node, weight } => {
                let seat = members.get_mut(node).ok_or_else(|| SteerError::NotAMember(node.clone()))?;
                seat.attributes.weight = *weight;
            }
        }
        Ok(members)
    }
}

/// The move of a child between two views, if there is one.
fn moves(before: &View, after: &View, key: &Key, record: &Record) -> Option<Move> {
    let subject = record.subject(key)?;
    let (from, to) = (before.owners(&subject), after.owners(&subject));
    let mut sorted = (from.clone(), to.clone());
    sorted.0.sort();
    sorted.1.sort();
    let names = |nodes: crate::view::Owners<'_>| nodes.into_iter().cloned().collect();
    (sorted.0 != sorted.1).then(|| Move { id: key.id.clone(), from: names(from), to: names(to) })
}
