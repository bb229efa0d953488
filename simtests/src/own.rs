//! Strategies of one's own that a sweep draws, all of them well behaved, and their text, which the core has none for.

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::config::{
    Distribution, HubConfig, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::hashing::stable_hash;
use process_hub_core::id::{Member, NodeId};
use process_hub_core::spec::ChildSpec;
use process_hub_core::strategy::{Candidate, Distribute, Migrate, Replicate, Synchronize, Tolerate};

use crate::plan::{SECOND, micros};

/// A distribution of one's own: each member draws a number for each child, and the highest have it.
#[derive(Debug)]
pub(crate) struct Rendezvous;

impl Distribute for Rendezvous {
    fn name(&self) -> &'static str {
        "rendezvous"
    }

    fn owners(&self, child: &ChildSpec, members: &[Candidate], _copies: usize) -> Vec<NodeId> {
        let drawn = |member: &Candidate| stable_hash(format!("{} at {}", child.id, member.node).as_bytes());
        let takes = members.iter().filter(|member| member.weight > 0);
        let mut ranked: Vec<_> = takes.map(|member| (drawn(member), &member.node)).collect();
        ranked.sort_unstable();
        // All of them: some may lack a label.
        ranked.into_iter().rev().map(|(_, node)| node.clone()).collect()
    }
}

/// A redundancy of one's own: a copy on every second member, from one to three.
#[derive(Debug)]
pub(crate) struct EverySecond {
    pub(crate) model: Model,
    pub(crate) signal: Signal,
}

const MODELS: [Model; 2] = [Model::ActiveActive, Model::ActivePassive];
const SIGNALS: [Signal; 4] = [Signal::None, Signal::Active, Signal::Passive, Signal::All];

impl EverySecond {
    /// That of a version.
    fn numbered(version: usize) -> Option<Self> {
        let (model, signal) = (MODELS.get(version / SIGNALS.len())?, SIGNALS[version % SIGNALS.len()]);
        Some(Self { model: *model, signal })
    }
}

impl Replicate for EverySecond {
    fn name(&self) -> &'static str {
        "every-second"
    }

    fn version(&self) -> u32 {
        let of = |found: Option<usize>| u32::try_from(found.unwrap_or(0)).unwrap_or(0);
        let model = of(MODELS.iter().position(|model| *model == self.model));
        model * 4 + of(SIGNALS.iter().position(|signal| *signal == self.signal))
    }

    fn copies(&self, members: usize) -> usize {
        (members / 2).clamp(1, 3)
    }

    fn model(&self) -> Model {
        self.model
    }

    fn signal(&self) -> Signal {
        self.signal
    }
}

/// A rule of one's own: a side serves while it is larger than what it has lost.
#[derive(Debug)]
pub(crate) struct MoreThanLost;

impl Tolerate for MoreThanLost {
    fn name(&self) -> &'static str {
        "more-than-lost"
    }

    fn holds(&self, members: &[Member], lost: &[Member]) -> bool {
        members.len() > lost.len()
    }
}

/// A synchronization of one's own: each member tells some of those that come after it in the alphabet, or the first ones.
#[derive(Debug)]
pub(crate) struct InLine {
    pub(crate) sync_interval: Duration,
    pub(crate) most: usize,
}

impl Synchronize for InLine {
    fn name(&self) -> &'static str {
        "in-line"
    }

    fn version(&self) -> u32 {
        u32::try_from(self.most).unwrap_or(u32::MAX)
    }

    fn sync_interval(&self) -> Duration {
        self.sync_interval
    }

    fn recipients(&self, teller: &Candidate, change: u64, open: &[Candidate]) -> Vec<NodeId> {
        let after = open.iter().skip_while(|other| other.node < teller.node);
        // Now and then nobody is told: the repair has to do it.
        let most = if change % 5 == 4 { 0 } else { self.most };
        after.chain(open).take(most).map(|other| other.node.clone()).collect()
    }
}

/// A migration of one's own: every second child moves in one way, the others in another.
#[derive(Debug)]
pub(crate) struct ByParity {
    pub(crate) ways: [usize; 2],
}

/// What it is called.
const NAME: &str = "by-parity";

/// The ways of [`ByParity`].
const WAYS: [Migration; 4] = [
    Migration::ColdSwap { handover: false, state_ttl: TTL, state_query_timeout: QUERY },
    Migration::ColdSwap { handover: true, state_ttl: TTL, state_query_timeout: QUERY },
    Migration::HotSwap {
        handover: false,
        state_query_timeout: QUERY,
        child_migration_timeout: LIMIT,
        retention: QUERY,
    },
    Migration::HotSwap { handover: true, state_query_timeout: QUERY, child_migration_timeout: LIMIT, retention: QUERY },
];
const TTL: Duration = Duration::from_millis(2_500);
const QUERY: Duration = Duration::from_millis(400);
const LIMIT: Duration = Duration::from_millis(1_500);

impl ByParity {
    /// How many there are.
    pub(crate) const ALL: usize = WAYS.len() * WAYS.len();

    /// That of a number below [`ByParity::ALL`].
    pub(crate) fn numbered(number: usize) -> Option<Self> {
        (number < Self::ALL).then_some(Self { ways: [number / WAYS.len(), number % WAYS.len()] })
    }

    fn number(&self) -> usize {
        self.ways[0] * WAYS.len() + self.ways[1]
    }
}

impl Migrate for ByParity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    fn way(&self, child: &ChildSpec) -> Migration {
        WAYS[self.ways[usize::from(stable_hash(child.id.as_str().as_bytes()) & 1 == 1)]].clone()
    }
}

/// The ways in which the children of a hub move; all that there are where a strategy is not known here.
pub(crate) fn ways(hub: &HubConfig) -> Vec<Migration> {
    let Migration::Custom(own) = &hub.migration else { return vec![hub.migration.clone()] };
    let known = Some(own).filter(|own| own.name() == NAME);
    let known = known.and_then(|own| ByParity::numbered(usize::try_from(own.version()).ok()?));
    known.map_or(WAYS.to_vec(), |own| own.ways.map(|way| WAYS[way].clone()).to_vec())
}

/// How long the state of a copy that has ended is kept at the least, by the clock of whoever keeps it.
pub(crate) fn kept(migration: &Migration) -> Option<u64> {
    let Migration::ColdSwap { handover: true, state_ttl, .. } = migration else { return None };
    Some(micros(*state_ttl) - micros(*state_ttl) / 1_000)
}

/// The longest that the move of one child takes: the `M` of `INVARIANTS.md` 1.1. One that fails is tried again.
pub(crate) fn moving(migration: &Migration) -> u64 {
    const AGAIN: u64 = SECOND;
    match migration {
        Migration::ColdSwap { handover: true, state_ttl, state_query_timeout } => {
            2 * micros(*state_query_timeout) + micros(*state_ttl) + AGAIN
        }
        Migration::HotSwap { handover: true, state_query_timeout, child_migration_timeout, retention } => {
            2 * micros(*state_query_timeout) + micros(*child_migration_timeout + *retention) + AGAIN
        }
        _ => 0,
    }
}

/// The fields of a hub that are strategies of one's own, as text that [`read`] reads.
pub(crate) fn texts(hub: &HubConfig) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    if let Distribution::Custom(own) = &hub.distribution {
        texts.push(("distribution", own.name().to_owned()));
    }
    if let Redundancy::Custom(own) = &hub.redundancy {
        texts.push(("redundancy", format!("{} {}", own.name(), own.version())));
    }
    if let Migration::Custom(own) = &hub.migration {
        texts.push(("migration", format!("{} {}", own.name(), own.version())));
    }
    if let Partition::Custom(own) = &hub.partition {
        texts.push(("partition", own.name().to_owned()));
    }
    if let Synchronization::Custom(own) = &hub.synchronization {
        let interval = own.sync_interval().as_micros();
        texts.push(("synchronization", format!("{} {} {interval}", own.name(), own.version())));
    }
    texts
}

/// Reads what [`texts`] wrote of one field; false if it is no strategy of one's own.
pub(crate) fn read(hub: &mut HubConfig, field: &str, text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    match (field, &words[..]) {
        ("distribution", ["rendezvous"]) => hub.distribution = Distribution::Custom(Arc::new(Rendezvous)),
        ("redundancy", ["every-second", version]) => {
            let Some(own) = version.parse().ok().and_then(EverySecond::numbered) else { return false };
            hub.redundancy = Redundancy::Custom(Arc::new(own));
        }
        ("migration", [NAME, version]) => {
            let Some(own) = version.parse().ok().and_then(ByParity::numbered) else { return false };
            hub.migration = Migration::Custom(Arc::new(own));
        }
        ("partition", ["more-than-lost"]) => hub.partition = Partition::Custom(Arc::new(MoreThanLost)),
        ("synchronization", ["in-line", most, micros]) => {
            let (Ok(most), Ok(micros)) = (most.parse(), micros.parse()) else { return false };
            let own = InLine { sync_interval: Duration::from_micros(micros), most };
            hub.synchronization = Synchronization::Custom(Arc::new(own));
        }
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::hub_id;

    #[test]
    fn what_is_written_is_read_back() {
        for version in 0..MODELS.len() * SIGNALS.len() {
            let mut hub = HubConfig::new(hub_id());
            let redundancy = EverySecond::numbered(version).expect("there is one");
            hub.distribution = Distribution::Custom(Arc::new(Rendezvous));
            hub.migration = Migration::Custom(Arc::new(ByParity::numbered(2 * version).expect("there is one")));
            hub.redundancy = Redundancy::Custom(Arc::new(redundancy));
            hub.partition = Partition::Custom(Arc::new(MoreThanLost));
            let own = InLine { sync_interval: Duration::from_micros(123_456), most: version };
            hub.synchronization = Synchronization::Custom(Arc::new(own));
            let mut again = HubConfig::new(hub_id());
            assert!(texts(&hub).iter().all(|(field, text)| read(&mut again, field, text)));
            assert_eq!(hub, again);
            assert_eq!(ways(&hub), ways(&again));
            assert_eq!(hub.redundancy.model(), again.redundancy.model());
            assert_eq!(hub.synchronization.sync_interval(), again.synchronization.sync_interval());
        }
        let hub = HubConfig::new(hub_id());
        assert_eq!(texts(&hub), []);
        for (field, text) in hub.fields() {
            assert!(!read(&mut hub.clone(), &field, &text), "{field} {text}");
        }
    }
}
