//! The rules by which a part of a cluster may serve: integers in, a verdict out.

use crate::config::Partition;

/// Whether a part of the cluster may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It may.
    Held,
    /// It may not: another part may be serving.
    Lost,
}

/// What a verdict is reached from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Count {
    /// Members of the view, this node included.
    pub connected: u32,
    /// Names that were lost, and not so long ago that they are forgotten. Counts for a dynamic quorum.
    pub lost: u32,
    /// The largest size that the cluster is known to have had. Counts for a majority quorum.
    pub size: u32,
}

/// More than half.
#[must_use]
pub const fn majority(size: u32) -> u32 {
    size / 2 + 1
}

/// Whether a part with this count may serve. A custom rule is not asked here.
#[must_use]
pub fn verdict(partition: &Partition, count: Count) -> Verdict {
    let held = match partition {
        Partition::Divergence | Partition::Custom(_) => true,
        Partition::StaticQuorum { quorum_size, .. } => count.connected >= *quorum_size,
        Partition::DynamicQuorum { quorum_size, .. } => {
            let (connected, lost) = (u64::from(count.connected), u64::from(count.lost));
            100 * connected >= u64::from(*quorum_size) * (connected + lost)
        }
        Partition::MajorityQuorum { .. } => count.connected >= majority(count.size),
    };
    if held { Verdict::Held } else { Verdict::Lost }
}

/// How many members' grants make a lease; `None` under a rule whose parts may overlap, so that a lease would say nothing.
#[must_use]
pub fn grants(partition: &Partition, size: u32) -> Option<u32> {
    match partition {
        Partition::StaticQuorum { quorum_size, .. } => Some(*quorum_size),
        Partition::MajorityQuorum { .. } => Some(majority(size)),
        Partition::Divergence | Partition::DynamicQuorum { .. } | Partition::Custom(_) => None,
    }
}

/// The most names for which any two quorums have a member in common; `None` where there is no such number.
#[must_use]
pub fn most_names(partition: &Partition, size: u32) -> Option<u32> {
    match partition {
        Partition::StaticQuorum { quorum_size, .. } => Some((quorum_size * 2).saturating_sub(1)),
        Partition::MajorityQuorum { .. } => Some(size),
        Partition::Divergence | Partition::DynamicQuorum { .. } | Partition::Custom(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn fixed(quorum_size: u32) -> Partition {
        Partition::StaticQuorum { quorum_size, startup_confirm: true }
    }

    fn dynamic(quorum_size: u32) -> Partition {
        Partition::DynamicQuorum { quorum_size, threshold_time: Duration::from_secs(30) }
    }

    fn most() -> Partition {
        Partition::MajorityQuorum { initial_cluster_size: 1, track_max_size: true }
    }

    /// The rules once more, in other words.
    fn reference(partition: &Partition, count: Count) -> bool {
        let Count { connected, lost, size } = count;
        match partition {
            Partition::Divergence | Partition::Custom(_) => true,
            Partition::StaticQuorum { quorum_size, .. } => (0..*quorum_size).all(|fewer| connected != fewer),
            // At most the rest of the hundred is lost.
            Partition::DynamicQuorum { quorum_size, .. } => lost * 100 <= (100 - quorum_size) * (connected + lost),
            Partition::MajorityQuorum { .. } => connected + connected > size,
        }
    }

    #[test]
    fn every_count_of_up_to_nine() {
        let mut rules = alloc::vec![Partition::Divergence, most()];
        rules.extend((1..=9).map(fixed));
        rules.extend((1..=100).map(dynamic));
        let mut checked = 0;
        for rule in &rules {
            for connected in 1..=9 {
                for lost in 0..=9 {
                    for size in connected..=9 {
                        let count = Count { connected, lost, size };
                        let held = verdict(rule, count) == Verdict::Held;
                        assert_eq!(held, reference(rule, count), "{rule:?} {count:?}");
                        checked += 1;
                    }
                }
            }
        }
        assert_eq!(checked, rules.len() * 10 * 45);
    }

    /// Every way of cutting up to nine members in two: two sides never both hold a quorum that is safe.
    #[test]
    fn two_sides_never_both_hold_a_majority() {
        for size in 1..=9_u32 {
            for left in 0..=size {
                let side = |connected| {
                    let count = Count { connected, lost: size - connected, size };
                    let safe = fixed(majority(size));
                    connected > 0 && [most(), safe].iter().any(|rule| verdict(rule, count) == Verdict::Held)
                };
                assert!(!(side(left) && side(size - left)), "{left} of {size}");
            }
        }
    }

    #[test]
    fn boundaries() {
        let ten = |lost| Count { connected: 10 - lost, lost, size: 10 };
        // Ten nodes, half: losing five keeps both halves alive, which is why a half is no safe share; losing six locks.
        assert_eq!(verdict(&dynamic(50), ten(5)), Verdict::Held);
        assert_eq!(verdict(&dynamic(50), ten(6)), Verdict::Lost);
        assert_eq!(verdict(&dynamic(80), ten(2)), Verdict::Held);
        assert_eq!(verdict(&dynamic(80), ten(3)), Verdict::Lost);
        assert_eq!(verdict(&dynamic(100), ten(0)), Verdict::Held);
        // Six of ten are a majority, five are not.
        assert_eq!(verdict(&most(), ten(4)), Verdict::Held);
        assert_eq!(verdict(&most(), ten(5)), Verdict::Lost);
        assert_eq!((grants(&fixed(3), 0), most_names(&fixed(3), 0)), (Some(3), Some(5)));
        assert_eq!((grants(&most(), 5), most_names(&most(), 5)), (Some(3), Some(5)));
        assert_eq!((grants(&dynamic(50), 5), most_names(&dynamic(50), 5)), (None, None));
    }

    #[test]
    fn any_two_quorums_of_a_safe_size_have_a_member_in_common() {
        for quorum in 1..=512 {
            let names = most_names(&fixed(quorum), 0).unwrap();
            assert!(2 * grants(&fixed(quorum), 0).unwrap() > names);
            assert!(2 * grants(&most(), names).unwrap() > names);
        }
    }
}
