//! Whom to tell of a change that others pass on.
//!
//! A rumor carries which members were told, so that those who pass it on choose among the others: with `k` recipients it
//! reaches `n` members in about `log n / log (k + 1)` steps, and few are told twice. Nobody relies on it: the origin tells
//! whoever has not acknowledged the change after a while.

use alloc::vec;
use alloc::vec::Vec;

use crate::hashing::stable_hash;
use crate::id::NodeId;

/// Which members of a view were told: a bit for each, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told(Vec<u8>);

impl Told {
    /// None of so many.
    pub(crate) fn nobody(members: usize) -> Self {
        Self(vec![0; members.div_ceil(8)])
    }

    /// As it came, if it is about so many members.
    pub(crate) fn from_wire(bytes: &[u8], members: usize) -> Option<Self> {
        (bytes.len() == members.div_ceil(8)).then(|| Self(bytes.to_vec()))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn add(&mut self, member: usize) {
        if let Some(byte) = self.0.get_mut(member / 8) {
            *byte |= 1 << (member % 8);
        }
    }

    pub(crate) fn has(&self, member: usize) -> bool {
        self.0.get(member / 8).is_some_and(|byte| byte & (1 << (member % 8)) != 0)
    }
}

/// Chooses up to `most` of `candidates`, in an order that is another for each `salt` and teller.
pub(crate) fn choose<T>(candidates: Vec<(NodeId, T)>, teller: &NodeId, salt: u64, most: usize) -> Vec<(NodeId, T)> {
    let seed = stable_hash(teller.as_str().as_bytes()) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut ranked: Vec<(u64, NodeId, T)> = candidates
        .into_iter()
        .map(|(node, what)| {
            let mut text = Vec::from(node.as_str().as_bytes());
            text.extend_from_slice(&seed.to_le_bytes());
            (stable_hash(&text), node, what)
        })
        .collect();
    ranked.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    ranked.truncate(most);
    ranked.into_iter().map(|(_, node, what)| (node, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<(NodeId, usize)> {
        (0..count).map(|n| (NodeId::new(alloc::format!("n{n:03}")).unwrap(), n)).collect()
    }

    #[test]
    fn told_members_are_remembered_and_nobody_else() {
        let mut told = Told::nobody(10);
        told.add(0);
        told.add(9);
        told.add(1_000);
        let told = Told::from_wire(&told.into_bytes(), 10).unwrap();
        assert_eq!((0..12).filter(|at| told.has(*at)).collect::<Vec<_>>(), [0, 9]);
        assert_eq!(Told::from_wire(&[0; 3], 10), None);
    }

    #[test]
    fn a_rumor_that_all_pass_on_reaches_all_in_logarithmically_many_steps() {
        for salt in 0..50 {
            let everybody = names(100);
            let mut told = Told::nobody(100);
            told.add(0);
            let (mut tellers, mut steps) = (vec![(0, told)], 0);
            let mut heard = [false; 100];
            heard[0] = true;
            while !tellers.is_empty() {
                steps += 1;
                let mut next = Vec::new();
                for (teller, mut told) in tellers {
                    let open = everybody.iter().filter(|(_, at)| !told.has(*at)).cloned().collect();
                    let chosen = choose(open, &everybody[teller].0, salt, 3);
                    chosen.iter().for_each(|(_, at)| told.add(*at));
                    for (_, at) in chosen {
                        if !core::mem::replace(&mut heard[at], true) {
                            next.push((at, told.clone()));
                        }
                    }
                }
                tellers = next;
            }
            let reached = heard.iter().filter(|heard| **heard).count();
            assert!(reached >= 90 && steps <= 12, "salt {salt}: {reached} of 100 in {steps} steps");
        }
    }
}
