//! What a fuzzer's bytes come to: names of a small world, so that what is drawn meets what is there, and numbers near to
//! those that a node has shown, beside any number at all.

use std::time::Duration;

use arbitrary::Unstructured;
use process_hub_core::config::{
    Distribution, Factor, HubConfig, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId};
use process_hub_core::spec::{ChildSpec, Labels, Restart, Role};

/// The bytes of one run, and the numbers that were seen in it.
pub(crate) struct Draw<'a> {
    bytes: Unstructured<'a>,
    shown: Vec<u64>,
    /// Boots that are drawn.
    boots: &'static [u64],
}

/// Numbers at which something may overflow or be taken for a mark.
const EDGES: [u64; 8] =
    [u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 62, 1 << 48, (1 << 48) - 1, u32::MAX as u64, (u32::MAX as u64) + 1];

/// Boots of nodes, the last ones last.
const BOOTS: [u64; 11] = [1, 1, 1, 1, 2, 3, 0, 1 << 40, 1 << 62, u64::MAX, (1 << 62) - 1];

impl<'a> Draw<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Unstructured::new(bytes), shown: Vec::new(), boots: &BOOTS }
    }

    /// The same without the highest boot of all, above which its name cannot come.
    pub(crate) fn with_room_for_boots(bytes: &'a [u8]) -> Self {
        Self { boots: &BOOTS[..BOOTS.len() - 1], ..Self::new(bytes) }
    }

    /// Whether nothing is left to draw from.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A number that a node has shown and others may come back to.
    pub(crate) fn show(&mut self, number: u64) {
        const MOST: usize = 16;
        if !self.shown.contains(&number) {
            if self.shown.len() == MOST {
                self.shown.remove(0);
            }
            self.shown.push(number);
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes.arbitrary().unwrap_or(0)
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of a list that has some.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A short list, often empty.
    pub(crate) fn some<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(4).saturating_sub(1);
        (0..count).map(|_| one(self)).collect()
    }

    /// Up to so many bytes as they come.
    pub(crate) fn raw(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most + 1).min(self.bytes.len());
        self.bytes.bytes(len).unwrap_or_default().to_vec()
    }

    /// Small, known, at an edge, or any.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=143 => u64::from(small % 6),
            known @ 144..=215 if !self.shown.is_empty() => self.shown[usize::from(known) % self.shown.len()],
            edge @ 216..=239 => EDGES[usize::from(edge) % EDGES.len()],
            _ => self.bytes.arbitrary().unwrap_or(7),
        }
    }

    /// The same for fields of 32 bits.
    pub(crate) fn short(&mut self) -> u32 {
        u32::try_from(self.number() & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// A span that a caller may name, up to ten seconds.
    pub(crate) fn span(&mut self) -> Duration {
        let spans = [0, 1, 50, 500, 2_000, 10_000].map(Duration::from_millis);
        self.one(&spans)
    }

    pub(crate) fn node(&mut self) -> NodeId {
        let names = ["n1", "n2", "n3", "n4"];
        name(self.one(&names))
    }

    pub(crate) fn boot(&mut self) -> Boot {
        Boot(self.one(self.boots))
    }

    pub(crate) fn member(&mut self) -> Member {
        Member { node: self.node(), boot: self.boot() }
    }

    pub(crate) fn child(&mut self) -> ChildId {
        let names = ["c0", "c1", "c2", "c3"];
        let name = self.one(&names);
        ChildId::new(name).expect("a name")
    }

    pub(crate) fn labels(&mut self) -> Labels {
        let sets: [&[&str]; 4] = [&[], &[], &["l"], &["l", "m"]];
        self.one(&sets).iter().collect()
    }

    pub(crate) fn role(&mut self) -> Role {
        if self.coin() { Role::Active } else { Role::Passive }
    }

    /// A recipe with these arguments.
    pub(crate) fn spec(&mut self, args: Vec<u8>) -> ChildSpec {
        let kind = Kind::new("k").expect("a name");
        let restart = self.one(&[Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Temporary]);
        let mut spec = ChildSpec::new(self.child(), kind, args).restart(restart);
        spec.requires = self.labels();
        spec
    }

    /// A hub's configuration that passes its check.
    pub(crate) fn config(&mut self) -> HubConfig {
        let mut config = HubConfig::new(hub());
        let balancer = LoadBalancer { push_interval: Duration::from_secs(2), ..LoadBalancer::default() };
        config.distribution = self.one(&[
            Distribution::ConsistentHashing,
            Distribution::ConsistentHashing,
            Distribution::Guided,
            Distribution::CentralizedLoadBalancer(balancer),
        ]);
        config.migration = self.one(&[
            Migration::cold_swap(),
            Migration::hot_swap(),
            Migration::cold_swap().with_handover(),
            Migration::hot_swap().with_handover(),
            Migration::Autonomous,
        ]);
        let passive =
            Redundancy::Replication { factor: Factor::ClusterSize, model: Model::ActivePassive, signal: Signal::All };
        if !config.migration.hands_over() {
            config.redundancy = self.one(&[Redundancy::Singularity, Redundancy::replication(2), passive]);
        }
        let sync_interval = Duration::from_secs(2);
        config.synchronization = self.one(&[
            Synchronization::PubSub { sync_interval },
            Synchronization::Gossip { sync_interval, recipients: 1 },
        ]);
        config.partition = self.one(&[
            Partition::Divergence,
            Partition::StaticQuorum { quorum_size: 2, startup_confirm: true },
            Partition::StaticQuorum { quorum_size: 2, startup_confirm: false },
            Partition::DynamicQuorum { quorum_size: 60, threshold_time: Duration::from_secs(5) },
            Partition::MajorityQuorum { initial_cluster_size: 1, track_max_size: true },
            Partition::MajorityQuorum { initial_cluster_size: 3, track_max_size: false },
        ]);
        config.first_start = self.coin();
        config.max_restarts = 3;
        config.barrier_timeout = Duration::from_secs(1);
        config
    }
}

/// The one hub's name.
pub(crate) fn hub() -> HubId {
    HubId::new("h").expect("a name")
}

/// A node's name; only for texts that are one.
pub(crate) fn name(text: &str) -> NodeId {
    NodeId::new(text).expect("a name")
}
