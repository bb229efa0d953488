//! The load balancer's arithmetic: samples to scores, scores to shares. In integers, so that it is the same everywhere.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::config::LoadBalancer;
use crate::id::NodeId;
use crate::input::LoadSample;

/// A score in millionths: 0 is idle, 1,000,000 is full.
pub type Score = u32;

/// The whole of a score.
const FULL: u64 = 1_000_000;
/// What a node without a sample is taken to have: half.
const UNKNOWN: Score = 500_000;
/// No node's share falls below a tenth of an idle one's.
const LEAST: i64 = 100_000;

impl LoadSample {
    /// Its score: processor 0.4, run queue (of 100) 0.3, children (of 10,000) 0.2, memory (of 1 GiB) 0.1.
    #[must_use]
    pub fn score(&self) -> Score {
        let part = |value: u64, full: u64, weight: u64| value.min(full) * weight / full;
        let score = part(u64::from(self.cpu_permille), 1_000, 400_000)
            + part(u64::from(self.run_queue), 100, 300_000)
            + part(u64::from(self.children), 10_000, 200_000)
            + part(self.memory_bytes, 1 << 30, 100_000);
        u32::try_from(score.min(FULL)).unwrap_or(UNKNOWN)
    }
}

/// What is known of the load of each node, and how far each is with its share of what was given out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Balancer {
    /// Scores of each node, newest first.
    history: BTreeMap<NodeId, VecDeque<Score>>,
    /// What each node is owed, in the unit of shares: whoever is owed most is next.
    owed: BTreeMap<NodeId, i64>,
}

impl Balancer {
    /// Takes a sample of a node.
    pub(crate) fn sample(&mut self, node: &NodeId, sample: &LoadSample, options: &LoadBalancer) {
        let history = self.history.entry(node.clone()).or_default();
        history.push_front(sample.score());
        history.truncate(options.max_history_size as usize);
    }

    /// Forgets a node.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.history.remove(node);
        self.owed.remove(node);
    }

    /// The smoothed score of a node: the mean of its samples, older ones counting less and less.
    pub(crate) fn score(&self, node: &NodeId, options: &LoadBalancer) -> Score {
        let Some(history) = self.history.get(node) else { return UNKNOWN };
        let (mut weight, mut sum, mut weights) = (FULL, 0_u64, 0_u64);
        for score in history {
            sum += u64::from(*score) * weight;
            weights += weight;
            weight = weight * u64::from(options.weight_decay_permille) / 1_000;
        }
        sum.checked_div(weights).and_then(|score| u32::try_from(score).ok()).unwrap_or(UNKNOWN)
    }

    /// The scores of these nodes.
    pub(crate) fn scoreboard(&self, nodes: &[NodeId], options: &LoadBalancer) -> Vec<(NodeId, Score)> {
        nodes.iter().map(|node| (node.clone(), self.score(node, options))).collect()
    }

    /// Chooses one of `nodes`, so that over any run of choices each gets its share: what it has free, of all that is
    /// free. (Smooth weighted round-robin: within one of the exact quota at every moment, whatever the batches.)
    pub(crate) fn choose(&mut self, nodes: &[&NodeId], options: &LoadBalancer) -> Option<NodeId> {
        let full = i64::try_from(FULL).unwrap_or(i64::MAX);
        let mut total = 0;
        for node in nodes {
            let share = (full - i64::from(self.score(node, options))).max(LEAST);
            total += share;
            *self.owed.entry((*node).clone()).or_default() += share;
        }
        // Of equals the first by name.
        let owed = |node: &NodeId| self.owed.get(node).copied().unwrap_or(0);
        let chosen = nodes.iter().copied().reduce(|best, node| if owed(node) > owed(best) { node } else { best })?;
        *self.owed.entry(chosen.clone()).or_default() -= total;
        // What was owed or overdrawn among other candidates is not to weigh for long.
        for owed in self.owed.values_mut() {
            *owed = (*owed).clamp(-total, total);
        }
        Some(chosen.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn sample(cpu_permille: u32) -> LoadSample {
        LoadSample { cpu_permille, ..LoadSample::default() }
    }

    #[test]
    fn a_score_weighs_four_things_and_caps_each() {
        let full = LoadSample { cpu_permille: 9_999, run_queue: 500, children: 99_999, memory_bytes: u64::MAX };
        assert_eq!(full.score(), 1_000_000);
        let half = LoadSample { cpu_permille: 500, run_queue: 50, children: 5_000, memory_bytes: 1 << 29 };
        assert_eq!(half.score(), 500_000);
        assert_eq!(LoadSample::default().score(), 0);
        assert_eq!(sample(1_000).score(), 400_000);
    }

    #[test]
    fn older_samples_count_less() {
        let options = LoadBalancer { weight_decay_permille: 500, max_history_size: 2, ..LoadBalancer::default() };
        let mut balancer = Balancer::default();
        assert_eq!(balancer.score(&node("a"), &options), UNKNOWN);
        balancer.sample(&node("a"), &sample(1_000), &options);
        balancer.sample(&node("a"), &sample(0), &options);
        // Weights 1 and 0.5: a third of 0.4.
        assert_eq!(balancer.score(&node("a"), &options), 133_333);
        balancer.sample(&node("a"), &sample(0), &options);
        assert_eq!(balancer.score(&node("a"), &options), 0, "only so many are remembered");
    }

    proptest! {
        /// Whatever the scores, over any number of choices each node is within one of its quota per other node.
        #[test]
        fn every_node_gets_its_share(loads in prop::collection::vec(0..2_600_u32, 1..12), choices in 1..600_i64) {
            let options = LoadBalancer::default();
            let mut balancer = Balancer::default();
            let names: Vec<NodeId> = (0..loads.len()).map(|at| node(&alloc::format!("n{at:02}"))).collect();
            for (name, load) in names.iter().zip(&loads) {
                balancer.sample(name, &LoadSample { cpu_permille: *load, run_queue: load / 26, ..sample(0) }, &options);
            }
            let refs: Vec<&NodeId> = names.iter().collect();
            let mut counts: BTreeMap<NodeId, i64> = BTreeMap::new();
            for _ in 0..choices {
                *counts.entry(balancer.choose(&refs, &options).unwrap()).or_default() += 1;
            }
            let share = |name: &NodeId| (1_000_000 - i64::from(balancer.score(name, &options))).max(LEAST);
            let total: i64 = names.iter().map(share).sum();
            for name in &names {
                let (got, quota) = (counts.get(name).copied().unwrap_or(0), choices * share(name) / total);
                prop_assert!((got - quota).abs() <= 2, "{name}: {got} of {quota}");
            }
        }
    }
}
