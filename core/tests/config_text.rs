//! Strategies and options as text: what is printed is read back, what makes no sense is refused with words, and no
//! text at all makes the reader panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use process_hub_core::config::{
    Distribution, Factor, HubConfig, LoadBalancer, Migration, Model, Partition, Redundancy, Signal, Synchronization,
};
use process_hub_core::id::HubId;
use proptest::prelude::*;

#[path = "../../fuzz/bodies/config_text.rs"]
mod config_text;

fn config() -> HubConfig {
    HubConfig::new(HubId::new("h").unwrap())
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..1_000_000_u64).prop_map(Duration::from_secs),
        (0..100_000_u64).prop_map(Duration::from_millis),
        (0..u64::from(u32::MAX)).prop_map(Duration::from_nanos),
    ]
}

fn distribution() -> impl Strategy<Value = Distribution> {
    let balancer =
        (any::<u32>(), any::<u32>(), span()).prop_map(|(max_history_size, weight_decay_permille, push_interval)| {
            Distribution::CentralizedLoadBalancer(LoadBalancer {
                max_history_size,
                weight_decay_permille,
                push_interval,
            })
        });
    prop_oneof![Just(Distribution::ConsistentHashing), Just(Distribution::Guided), balancer]
}

fn redundancy() -> impl Strategy<Value = Redundancy> {
    let factor = prop_oneof![any::<u32>().prop_map(Factor::Copies), Just(Factor::ClusterSize)];
    let model = prop_oneof![Just(Model::ActiveActive), Just(Model::ActivePassive)];
    let signal = prop_oneof![Just(Signal::None), Just(Signal::Active), Just(Signal::Passive), Just(Signal::All)];
    let replication =
        (factor, model, signal).prop_map(|(factor, model, signal)| Redundancy::Replication { factor, model, signal });
    prop_oneof![Just(Redundancy::Singularity), replication]
}

fn migration() -> impl Strategy<Value = Migration> {
    let cold = (any::<bool>(), span(), span()).prop_map(|(handover, state_ttl, state_query_timeout)| {
        Migration::ColdSwap { handover, state_ttl, state_query_timeout }
    });
    let hot = (any::<bool>(), span(), span(), span()).prop_map(
        |(handover, state_query_timeout, child_migration_timeout, retention)| Migration::HotSwap {
            handover,
            state_query_timeout,
            child_migration_timeout,
            retention,
        },
    );
    prop_oneof![cold, hot, Just(Migration::Autonomous)]
}

fn synchronization() -> impl Strategy<Value = Synchronization> {
    let gossip = (span(), any::<u32>())
        .prop_map(|(sync_interval, recipients)| Synchronization::Gossip { sync_interval, recipients });
    prop_oneof![span().prop_map(|sync_interval| Synchronization::PubSub { sync_interval }), gossip]
}

fn partition() -> impl Strategy<Value = Partition> {
    let fixed = (any::<u32>(), any::<bool>())
        .prop_map(|(quorum_size, startup_confirm)| Partition::StaticQuorum { quorum_size, startup_confirm });
    let dynamic = (any::<u32>(), span())
        .prop_map(|(quorum_size, threshold_time)| Partition::DynamicQuorum { quorum_size, threshold_time });
    let majority = (any::<u32>(), any::<bool>()).prop_map(|(initial_cluster_size, track_max_size)| {
        Partition::MajorityQuorum { initial_cluster_size, track_max_size }
    });
    prop_oneof![Just(Partition::Divergence), fixed, dynamic, majority]
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        distribution in distribution(),
        redundancy in redundancy(),
        migration in migration(),
        synchronization in synchronization(),
        partition in partition(),
    ) {
        prop_assert_eq!(distribution.to_string().parse(), Ok(distribution));
        prop_assert_eq!(redundancy.to_string().parse(), Ok(redundancy));
        prop_assert_eq!(migration.to_string().parse(), Ok(migration));
        prop_assert_eq!(synchronization.to_string().parse(), Ok(synchronization));
        prop_assert_eq!(partition.to_string().parse(), Ok(partition));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".*", field in any::<u8>()) {
        config_text::run(&[&[field][..], text.as_bytes()].concat());
    }

    #[test]
    fn nor_does_text_that_is_nearly_right(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "cold", "hot", "static", "dynamic", "majority", "replication", "load-balancer", "gossip", "handover",
                "=", "5", "50%", "18446744073709551615h", "10s", "state_ttl=10s", "quorum_size=", "signal=all", "",
            ]),
            0..5,
        ),
        field in any::<u8>(),
    ) {
        config_text::run(&[&[field][..], words.join(":").as_bytes()].concat());
    }
}

#[test]
fn the_short_forms_mean_what_they_say() {
    assert_eq!(
        "replication:3:active-passive".parse(),
        Ok(Redundancy::Replication { factor: Factor::Copies(3), model: Model::ActivePassive, signal: Signal::None })
    );
    assert_eq!("replication".parse(), Ok(Redundancy::replication(2)));
    assert_eq!("hot:handover".parse(), Ok(Migration::hot_swap().with_handover()));
    assert_eq!(
        "static:3:startup-confirm".parse(),
        Ok(Partition::StaticQuorum { quorum_size: 3, startup_confirm: true })
    );
    let threshold_time = Duration::from_secs(30);
    assert_eq!("dynamic:80%".parse(), Ok(Partition::DynamicQuorum { quorum_size: 80, threshold_time }));
    assert_eq!("majority:3".parse(), Ok(Partition::MajorityQuorum { initial_cluster_size: 3, track_max_size: true }));
    let sync_interval = Duration::from_millis(1_500);
    assert_eq!("pubsub:sync_interval=1500ms".parse(), Ok(Synchronization::PubSub { sync_interval }));
    for (text, printed) in
        [("hot", "hot"), ("gossip:recipients=3", "gossip"), ("cold:state_ttl=60s", "cold:state_ttl=1m")]
    {
        let mut config = config();
        let field = if text.starts_with("gossip") { "synchronization" } else { "migration" };
        config.set(field, text).unwrap();
        let shown =
            if field == "migration" { config.migration.to_string() } else { config.synchronization.to_string() };
        assert_eq!(shown, printed);
    }
}

#[test]
fn every_field_that_nodes_agree_on_can_be_set() {
    for (name, _) in config().fields() {
        assert!(HubConfig::SETTINGS.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    for (field, text, words) in [
        ("distribution", "ring", "use one of consistent-hashing, guided, load-balancer"),
        ("distribution", "guided:x", "`guided` does not know what to make of `x`: it has no options"),
        ("redundancy", "replication:many", "factor: `many` is no whole number from 0 to 4294967295, or cluster-size"),
        ("redundancy", "replication:2:signal=loud", "signal: `loud` is not one of none, active, passive, all"),
        ("migration", "cold:retention=5s", "`cold` has no option `retention`: its options are handover, state_ttl"),
        ("migration", "autonomous:handover", "it has no options"),
        ("synchronization", "gossip:sync_interval=15", "`15` is no time: write it as 10s, 500ms, 2m or 1h"),
        ("partition", "static:half", "quorum_size: `half` is no whole number"),
        ("stop_timeout", "-1s", "is no time"),
        ("stop_timeout", "99999999999999h", "is no time"),
        ("colour", "red", "there is no such option: use distribution, redundancy"),
    ] {
        let problem = config().set(field, text).unwrap_err().to_string();
        assert!(problem.contains(words), "{field} = {text} said {problem:?}");
    }
    // A quorum that was not named is out of its range.
    let mut config = config();
    config.set("partition", "static").unwrap();
    assert!(config.check().unwrap_err().to_string().contains("partition.quorum_size = 0"));
}
