//! Strategies of users' own, kept from taking the node down with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use process_hub_core::config::{
    Distribution, HubConfig, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::id::{Member, NodeId};
use process_hub_core::spec::ChildSpec;
use process_hub_core::strategy::{Candidate, Distribute, Migrate, Replicate, Synchronize, Tolerate};

/// The same configuration, of which a strategy that panics is as one that knows no answer: its child belongs to nobody,
/// or has one copy, or moves without its state, or nothing is served, or nobody is told.
pub(crate) fn contained(mut config: HubConfig) -> HubConfig {
    if let Distribution::Custom(strategy) = config.distribution {
        config.distribution =
            Distribution::Custom(Contained::new(strategy, |rule| (rule.name().to_owned(), rule.version())));
    }
    if let Redundancy::Custom(strategy) = config.redundancy {
        config.redundancy =
            Redundancy::Custom(Contained::new(strategy, |rule| (rule.name().to_owned(), rule.version())));
    }
    if let Migration::Custom(strategy) = config.migration {
        config.migration = Migration::Custom(Contained::new(strategy, |rule| (rule.name().to_owned(), rule.version())));
    }
    if let Partition::Custom(strategy) = config.partition {
        config.partition = Partition::Custom(Contained::new(strategy, |rule| (rule.name().to_owned(), rule.version())));
    }
    if let Synchronization::Custom(strategy) = config.synchronization {
        config.synchronization =
            Synchronization::Custom(Contained::new(strategy, |rule| (rule.name().to_owned(), rule.version())));
    }
    config
}

/// What members compare after where a strategy cannot say.
const USUAL_INTERVAL: Duration = Duration::from_secs(15);

struct Contained<S: ?Sized> {
    strategy: Arc<S>,
    name: String,
    version: u32,
}

impl<S: ?Sized> Contained<S> {
    /// With its name and version, which hold from here on.
    fn new(strategy: Arc<S>, known_by: impl FnOnce(&S) -> (String, u32)) -> Arc<Self> {
        let unnamed = Self { strategy, name: "without a name".to_owned(), version: 0 };
        let known_by = unnamed.ask("name and version", None, |strategy| Some(known_by(strategy)));
        let (name, version) = known_by.unwrap_or_else(|| (unnamed.name.clone(), unnamed.version));
        Arc::new(Self { name, version, ..unnamed })
    }

    /// What the strategy answers, or `otherwise` where it panics. It is told nothing that it could leave half done.
    fn ask<T>(&self, what: &str, otherwise: T, ask: impl FnOnce(&S) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| ask(&self.strategy))).unwrap_or_else(|_| {
            tracing::error!(what, "a strategy panicked: it is taken to have no answer");
            otherwise
        })
    }
}

impl Distribute for Contained<dyn Distribute> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn owners(&self, child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId> {
        self.ask("owners", Vec::new(), |strategy| strategy.owners(child, members, copies))
    }
}

impl Replicate for Contained<dyn Replicate> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn copies(&self, members: usize) -> usize {
        self.ask("copies", 1, |strategy| strategy.copies(members))
    }

    fn model(&self) -> Model {
        self.ask("model", Model::ActiveActive, Replicate::model)
    }

    fn signal(&self) -> Signal {
        self.ask("signal", Signal::None, Replicate::signal)
    }
}

impl Migrate for Contained<dyn Migrate> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn way(&self, child: &ChildSpec) -> Migration {
        self.ask("way", Migration::cold_swap(), |strategy| strategy.way(child))
    }
}

impl Tolerate for Contained<dyn Tolerate> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn holds(&self, members: &[Member], lost: &[Member]) -> bool {
        self.ask("holds", false, |strategy| strategy.holds(members, lost))
    }
}

impl Synchronize for Contained<dyn Synchronize> {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn sync_interval(&self) -> Duration {
        self.ask("sync_interval", USUAL_INTERVAL, Synchronize::sync_interval)
    }

    fn recipients(&self, teller: &Candidate, change: u64, open: &[Candidate]) -> Vec<NodeId> {
        self.ask("recipients", Vec::new(), |strategy| strategy.recipients(teller, change, open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_hub_core::id::{ChildId, HubId, Kind};
    use process_hub_core::spec::Labels;

    struct Broken;

    impl Distribute for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn owners(&self, _: &ChildSpec, _: &[Candidate], _: usize) -> Vec<NodeId> {
            panic!("no idea")
        }
    }

    impl Replicate for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn copies(&self, _: usize) -> usize {
            panic!("no idea")
        }
    }

    impl Tolerate for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn holds(&self, _: &[Member], _: &[Member]) -> bool {
            panic!("no idea")
        }
    }

    impl Synchronize for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn sync_interval(&self) -> Duration {
            panic!("no idea")
        }

        fn recipients(&self, _: &Candidate, _: u64, _: &[Candidate]) -> Vec<NodeId> {
            panic!("no idea")
        }
    }

    impl Migrate for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn way(&self, _: &ChildSpec) -> Migration {
            panic!("no idea")
        }
    }

    #[test]
    fn a_strategy_that_panics_has_no_answer_and_keeps_its_name() {
        let mut config = HubConfig::new(HubId::new("h").unwrap());
        config.distribution = Distribution::Custom(Arc::new(Broken));
        config.redundancy = Redundancy::Custom(Arc::new(Broken));
        config.migration = Migration::Custom(Arc::new(Broken));
        config.synchronization = Synchronization::Custom(Arc::new(Broken));
        config.partition = Partition::Custom(Arc::new(Broken));
        let contained = contained(config.clone());
        assert_eq!(contained, config);
        assert_eq!(contained.digest(), config.digest());
        assert_eq!(contained.redundancy.copies(3), 1);
        let Distribution::Custom(strategy) = &contained.distribution else { panic!("it is one's own") };
        let spec = ChildSpec::new(ChildId::new("c").unwrap(), Kind::new("k").unwrap(), Vec::new());
        assert_eq!(strategy.owners(&spec, &[], 1), []);
        let Migration::Custom(strategy) = &contained.migration else { panic!("it is one's own") };
        assert_eq!(strategy.way(&spec), Migration::cold_swap());
        let Partition::Custom(strategy) = &contained.partition else { panic!("it is one's own") };
        assert!(!strategy.holds(&[], &[]), "who cannot say whether it may serve does not");
        let Synchronization::Custom(strategy) = &contained.synchronization else { panic!("it is one's own") };
        let me = Candidate { node: NodeId::new("n1").unwrap(), weight: 1, labels: Labels::new() };
        assert_eq!(strategy.recipients(&me, 1, std::slice::from_ref(&me)), []);
        assert_eq!(contained.synchronization.sync_interval(), USUAL_INTERVAL);
    }
}
