//! The load balancer: every node tells its load, and the longest-lived member gives children to nodes.

use alloc::vec::Vec;

use super::Step;
use crate::config::{Distribution, LoadBalancer};
use crate::effect::Effect;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::input::LoadSample;
use crate::message::{Assignment, HubMessage};
use crate::registry::Key;

impl Hub {
    fn balancing(&self) -> Option<LoadBalancer> {
        match &self.config.distribution {
            Distribution::CentralizedLoadBalancer(options) => Some(options.clone()),
            _ => None,
        }
    }

    /// Once an interval, this node's load is asked for.
    pub(super) fn ask_for_load(&mut self, step: &mut Step<'_>) {
        let Some(at) = self.load_at.filter(|at| *at <= step.now) else { return };
        if let Some(options) = self.balancing() {
            // A node that was stopped for long does not make up for what it missed.
            self.load_at = Some((at + options.push_interval).max(step.now));
            step.fx.push(Effect::SampleLoad { hub: self.config.id.clone() });
        }
    }

    /// This node's load: told to all, so that whoever leads next knows it, too.
    pub(super) fn load(&mut self, step: &mut Step<'_>, sample: LoadSample) {
        if self.balancing().is_none() {
            return;
        }
        for peer in self.peers.values().filter(|peer| peer.takes_part()) {
            self.send(step, &peer.member, HubMessage::Load(sample));
        }
        let me = self.me.node.clone();
        self.load_told(step, &me, &sample);
    }

    /// The load of a node.
    pub(super) fn load_told(&mut self, step: &mut Step<'_>, node: &NodeId, sample: &LoadSample) {
        let Some(options) = self.balancing() else { return };
        self.balancer.sample(node, sample, &options);
        if self.leads() {
            let nodes: Vec<NodeId> = self.view.members().keys().cloned().collect();
            let scoreboard = self.balancer.scoreboard(&nodes, &options);
            // Told in thousandths.
            let scoreboard = scoreboard.into_iter().map(|(node, score)| (node, score / 1_000)).collect();
            self.hook(step, HookEvent::ScoreboardUpdated { scoreboard, node: self.me.node.clone() });
        }
    }

    /// Whether it falls to this node to give children to nodes: all that agree on the view agree on that.
    pub(super) fn leads(&self) -> bool {
        self.view.is_complete() && self.view.leader() == Some(&self.me.node)
    }

    /// Whether a child waits to be given to a node, by this node.
    pub(super) fn is_to_be_given(&self, key: &Key) -> bool {
        matches!(self.config.distribution, Distribution::CentralizedLoadBalancer(_))
            && !self.quorum.locked
            && self.leads()
            && self.registry.record(key).and_then(|record| record.subject(key)).is_some_and(|subject| {
                let owners = self.view.owners(&subject);
                owners.len() < self.view.copies()
                    && !self.view.is_held(&subject)
                    && self.view.takers(&subject).iter().any(|candidate| !owners.contains(candidate))
            })
    }

    /// Gives a child to as many nodes as it lacks. False if nobody can take it.
    pub(super) fn give(&mut self, step: &mut Step<'_>, key: &Key) -> bool {
        let Some(options) = self.balancing() else { return false };
        let Some(record) = self.registry.record(key) else { return false };
        let (Some(start), Some(subject)) = (record.winner(), record.subject(key)) else { return false };
        let dot = start.dot;
        let version = start.assigned.as_ref().map_or(0, |assigned| assigned.version + 1);
        let mut nodes: Vec<NodeId> = self.view.owners(&subject).into_iter().cloned().collect();
        // Another start of the child goes where the first one did, in the same order, or two of its copies might serve; and
        // whoever runs it keeps it.
        let siblings = record.starts().iter().filter_map(|start| start.assigned.as_deref());
        let mut known: Vec<&NodeId> = siblings.flat_map(|assigned| &assigned.nodes).collect();
        known.extend(record.mine().map(|_| &self.me.node));
        known.extend(record.theirs(&self.registry).map(|row| self.registry.node_of(row)));
        known.extend(self.former.nodes(key, step.now));
        let mut candidates = self.view.takers(&subject);
        while nodes.len() < self.view.copies() {
            candidates.retain(|candidate| !nodes.contains(candidate));
            let given = match known.iter().find(|node| candidates.contains(*node)) {
                Some(node) => Some((*node).clone()),
                None => self.balancer.choose(&candidates, &options),
            };
            let Some(given) = given else { break };
            nodes.push(given);
        }
        drop(candidates);
        let assignment = Assignment { version, by: self.me.node.clone(), nodes, held: false };
        self.tell_assignment(step, key, dot, assignment);
        true
    }
}
