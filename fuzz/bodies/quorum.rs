//! Any rule that passes its check, on any count: the verdict is that of a reference in other words, more members never
//! lock a part, two parts of a cluster of a size that the rule is safe for never both serve, and any two leases there
//! have a granter in common.

use std::time::Duration;

use arbitrary::Unstructured;
use process_hub_core::config::{Partition, limits};
use process_hub_core::quorum::{Count, Verdict, grants, majority, most_names, verdict};

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut below = |end: u32| bytes.int_in_range(0..=end).unwrap_or(0);
    let quorum_size = below(1_100);
    let rule = match below(3) {
        0 => Partition::Divergence,
        1 => Partition::StaticQuorum { quorum_size, startup_confirm: below(1) == 0 },
        2 => Partition::DynamicQuorum { quorum_size, threshold_time: Duration::from_secs(30) },
        _ => Partition::MajorityQuorum { initial_cluster_size: quorum_size, track_max_size: below(1) == 0 },
    };
    let most = if matches!(rule, Partition::DynamicQuorum { .. }) { 100 } else { limits::MEMBERS as u32 };
    assert_eq!(rule.check().is_ok(), rule == Partition::Divergence || (1..=most).contains(&quorum_size));
    if rule.check().is_err() {
        return;
    }
    let members = limits::MEMBERS as u32;
    let count = Count { connected: below(members), lost: below(members), size: below(members) };
    let held = |count| verdict(&rule, count) == Verdict::Held;
    assert_eq!(held(count), reference(&rule, count), "{rule:?} {count:?}");
    assert!(!held(count) || held(Count { connected: count.connected + 1, ..count }), "{rule:?} {count:?}");
    two_parts(&rule, count.size, count.connected);
}

/// The rules, in other words than the core's.
fn reference(rule: &Partition, Count { connected, lost, size }: Count) -> bool {
    match rule {
        Partition::StaticQuorum { quorum_size, .. } => !(0..*quorum_size).contains(&connected),
        // No more than the rest of the hundred is lost.
        Partition::DynamicQuorum { quorum_size, .. } => lost * 100 <= (100 - quorum_size) * (connected + lost),
        // Who is not here are fewer.
        Partition::MajorityQuorum { .. } => size.saturating_sub(connected) < connected || connected > size,
        _ => true,
    }
}

/// A cluster of `size`, cut in two.
fn two_parts(rule: &Partition, size: u32, left: u32) {
    let Some(most) = most_names(rule, size).filter(|most| size <= *most && size > 0) else { return };
    let left = left % (size + 1);
    let serves = |connected| verdict(rule, Count { connected, lost: size - connected, size }) == Verdict::Held;
    assert!(!(serves(left) && serves(size - left)), "{left} of {size} and the others both serve under {rule:?}");
    let needed = grants(rule, size).expect("a rule that is safe for some size has leases");
    assert!(2 * needed > most, "two leases of {needed} among {most} under {rule:?}");
    assert!(needed >= majority(size), "and no lease is of a minority");
}
