//! The laws of the declared set, against a reference of three lines: a start is alive exactly if no stop observed it.

#![allow(clippy::unwrap_used, reason = "tests")]

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::id::{Kind, NodeId};
use crate::time::Time;

#[derive(Clone, Debug)]
enum Op {
    /// A user's start at a replica.
    Start(usize, u8),
    /// A user's stop at a replica: removes what it observes there.
    Stop(usize, u8),
    /// Somebody gives the start that is carried out at a replica to nodes, over what is known there.
    Assign(usize, u8, u8),
    /// One change made so far reaches a replica (again, late, or never).
    Deliver(usize, prop::sample::Index),
    /// One replica compares with another; the number is how many ranges it gets to before the exchange breaks off.
    Compare(usize, usize, usize),
}

const REPLICAS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let replica = 0..REPLICAS;
    prop_oneof![
        3 => (replica.clone(), 0..6u8).prop_map(|(at, id)| Op::Start(at, id)),
        2 => (replica.clone(), 0..6u8).prop_map(|(at, id)| Op::Stop(at, id)),
        2 => (replica.clone(), 0..6u8, 0..4u8).prop_map(|(at, id, to)| Op::Assign(at, id, to)),
        4 => (replica.clone(), any::<prop::sample::Index>()).prop_map(|(at, change)| Op::Deliver(at, change)),
        1 => (replica.clone(), replica, 0..4usize).prop_map(|(a, b, ranges)| Op::Compare(a, b, ranges)),
    ]
}

/// A start as all replicas can name it.
type Name = (Member, u64);

#[derive(Clone)]
enum Change {
    Start(ChildId, Name),
    Stop(ChildId, Vec<Name>),
    Assign(ChildId, Name, Assignment),
}

struct World {
    replicas: Vec<Registry>,
    counters: [u64; REPLICAS],
    changes: Vec<Change>,
    started: BTreeMap<Name, ChildId>,
    stopped: BTreeSet<Name>,
    assigned: BTreeMap<Name, Assignment>,
}

fn member(at: usize) -> Member {
    Member { node: NodeId::new(["a", "b", "c"][at]).unwrap(), boot: Boot(7) }
}

fn child(id: u8) -> ChildId {
    ChildId::new(alloc::format!("child-{id}")).unwrap()
}

fn spec(id: &ChildId) -> Arc<ChildSpec> {
    Arc::new(ChildSpec::new(id.clone(), Kind::new("k").unwrap(), Vec::new()))
}

impl World {
    fn new() -> Self {
        let replicas = (0..REPLICAS).map(|at| Registry::new(member(at), Boot(7))).collect();
        Self {
            replicas,
            counters: [0; REPLICAS],
            changes: Vec::new(),
            started: BTreeMap::new(),
            stopped: BTreeSet::new(),
            assigned: BTreeMap::new(),
        }
    }

    fn dot(&mut self, at: usize, name: &Name) -> Dot {
        Dot::new(self.replicas[at].origin(&name.0).unwrap(), name.1)
    }

    fn names(&self, at: usize, id: &ChildId) -> Vec<Name> {
        let replica = &self.replicas[at];
        let starts = replica.record(&Key::new(id)).map_or(&[][..], Record::starts);
        starts.iter().map(|start| (replica.origin_of(start.dot).clone(), start.dot.counter())).collect()
    }

    fn apply(&mut self, at: usize, change: &Change) {
        match change {
            Change::Start(id, name) => {
                let dot = self.dot(at, name);
                self.replicas[at].declare(&Key::new(id), dot, spec(id));
            }
            Change::Stop(id, names) => {
                for name in names {
                    let dot = self.dot(at, name);
                    self.replicas[at].remove(&Key::new(id), dot);
                }
            }
            Change::Assign(id, name, assignment) => {
                let dot = self.dot(at, name);
                self.replicas[at].assign(&Key::new(id), dot, assignment.clone(), Time(0));
            }
        }
    }

    fn assign(&mut self, at: usize, id: &ChildId, to: u8) {
        let Some(name) = self.names(at, id).first().cloned() else { return };
        let dot = self.dot(at, &name);
        let version = self.replicas[at].assignment(&Key::new(id), dot).map_or(0, |known| known.version + 1);
        let nodes = alloc::vec![NodeId::new(alloc::format!("n{to}")).unwrap()];
        let assignment = Assignment { version, by: member(at).node, nodes, held: to == 0 };
        let highest = self.assigned.entry(name.clone()).or_insert_with(|| assignment.clone());
        *highest = highest.clone().max(assignment.clone());
        let change = Change::Assign(id.clone(), name, assignment);
        self.apply(at, &change);
        self.changes.push(change);
    }

    /// What a replica knows of who was given what.
    fn assignments(&mut self, at: usize) -> BTreeMap<Name, Assignment> {
        let declared = self.declared(at);
        let known = declared.into_iter().filter_map(|(id, name)| {
            let dot = self.dot(at, &name);
            Some((name, self.replicas[at].assignment(&Key::new(&id), dot)?.clone()))
        });
        known.collect()
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Start(at, id) => {
                self.counters[at] += 1;
                let (id, name) = (child(id), (member(at), self.counters[at]));
                self.started.insert(name.clone(), id.clone());
                let change = Change::Start(id, name);
                self.apply(at, &change);
                self.changes.push(change);
            }
            Op::Stop(at, id) => {
                let names = self.names(at, &child(id));
                self.stopped.extend(names.iter().cloned());
                let change = Change::Stop(child(id), names);
                self.apply(at, &change);
                self.changes.push(change);
            }
            Op::Assign(at, id, to) => self.assign(at, &child(id), to),
            Op::Deliver(at, which) if !self.changes.is_empty() => {
                let change = which.get(&self.changes).clone();
                self.apply(at, &change);
            }
            Op::Deliver(..) => {}
            Op::Compare(a, b, ranges) if a != b => self.compare(a, b, ranges),
            Op::Compare(..) => {}
        }
    }

    /// What `coordinator/pull.rs` does, without the wire: `a` asks `b`, and gets to `most` listings.
    fn compare(&mut self, a: usize, b: usize, most: usize) {
        let opening = self.context(b, a);
        let theirs = self.replicas[b].buckets().to_vec();
        let ours = self.replicas[a].buckets().to_vec();
        let differing: Vec<usize> = (0..BUCKETS).filter(|&at| ours[at] != theirs[at]).collect();
        let mut done = 0;
        for bucket in differing {
            let (mut from, to) = Registry::bucket_range(bucket);
            loop {
                if done == most {
                    return;
                }
                done += 1;
                let asker = self.context(a, b);
                let part = self.replicas[b].listing(from, to, &asker, 1, 1);
                let context = self.context(b, a);
                let dots = part.seen.iter().chain(part.unseen.iter().map(|(dot, _)| dot));
                let names: Vec<Name> =
                    dots.map(|dot| (self.replicas[b].origin_of(*dot).clone(), dot.counter())).collect();
                let listed: Vec<Dot> = names.iter().map(|name| self.dot(a, name)).collect();
                for (key, dot) in self.replicas[a].removed_at(from, part.to, &context, &listed) {
                    self.replicas[a].remove(&key, dot);
                }
                let unseen = &listed[part.seen.len()..];
                for ((_, spec), dot) in part.unseen.iter().zip(unseen) {
                    self.replicas[a].declare(&Key::new(&spec.id), *dot, spec.clone());
                }
                for (id, dot, assignment) in part.assigned {
                    let name = (self.replicas[b].origin_of(dot).clone(), dot.counter());
                    self.apply(a, &Change::Assign(id, name, assignment));
                }
                if part.to == to {
                    break;
                }
                from = part.to + 1;
            }
        }
        self.replicas[a].join_context(&opening);
    }

    /// The context of replica `of` in the indices of replica `at`.
    fn context(&mut self, of: usize, at: usize) -> Context {
        let seen: Vec<(Member, u64, BTreeSet<u64>)> = self.replicas[of]
            .context()
            .iter()
            .map(|(origin, upto, beyond)| (self.replicas[of].origin_at(origin).clone(), upto, beyond.clone()))
            .collect();
        let mut context = Context::default();
        for (member, upto, beyond) in seen {
            let origin = self.replicas[at].origin(&member).unwrap();
            context.raise(origin, upto);
            beyond.into_iter().for_each(|counter| context.insert(Dot::new(origin, counter)));
        }
        context
    }

    fn alive(&self) -> BTreeSet<(ChildId, Name)> {
        let alive = self.started.iter().filter(|(name, _)| !self.stopped.contains(*name));
        alive.map(|(name, id)| (id.clone(), name.clone())).collect()
    }

    fn declared(&self, at: usize) -> BTreeSet<(ChildId, Name)> {
        (0..6).flat_map(|id| self.names(at, &child(id)).into_iter().map(move |name| (child(id), name))).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Any subset of changes, in any order, repeated, mixed with comparisons that break off anywhere: never is a
    /// stopped start alive where its stop is known, and a round of whole comparisons makes all agree on exactly the
    /// starts that no stop has observed.
    #[test]
    fn replicas_agree_on_what_no_stop_observed(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
            for at in 0..REPLICAS {
                // A replica knows of a stop once it covers a start that it does not declare: it never comes back.
                for (name, id) in world.started.clone() {
                    let dot = world.dot(at, &name);
                    let declared = world.names(at, &id).contains(&name);
                    let covered = world.replicas[at].context().covers(dot);
                    prop_assert!(covered || !declared);
                    prop_assert!(!covered || declared || world.stopped.contains(&name), "{id} of {name:?} was lost");
                }
            }
        }
        for _ in 0..2 {
            for a in 0..REPLICAS {
                for b in (0..REPLICAS).filter(|b| *b != a) {
                    world.compare(a, b, usize::MAX);
                }
            }
        }
        let alive = world.alive();
        for at in 0..REPLICAS {
            prop_assert_eq!(&world.declared(at), &alive);
            prop_assert_eq!(world.replicas[at].root(), world.replicas[0].root());
            // Of each start that is left the highest assignment holds, and none of a start that is gone is kept.
            let mut assigned = world.assigned.clone();
            assigned.retain(|name, _| alive.iter().any(|(_, alive)| alive == name));
            prop_assert_eq!(world.assignments(at), assigned);
            let ids: BTreeSet<&ChildId> = alive.iter().map(|(id, _)| id).collect();
            prop_assert_eq!(world.replicas[at].len(), ids.len());
        }
    }

    /// The order of arrival decides nothing, the winner among siblings included.
    #[test]
    fn merging_commutes_and_repeats(ops in prop::collection::vec(op(), 1..40), order in any::<u64>()) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        let changes = world.changes.clone();
        let mut shuffled = changes.clone();
        let mut state = order;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let (mut forward, mut mixed) = (World::new(), World::new());
        changes.iter().for_each(|change| forward.apply(0, change));
        shuffled.iter().chain(&changes).for_each(|change| mixed.apply(0, change));
        prop_assert_eq!(forward.replicas[0].root(), mixed.replicas[0].root());
        for id in 0..6 {
            prop_assert_eq!(forward.names(0, &child(id)), mixed.names(0, &child(id)));
        }
        prop_assert_eq!(forward.assignments(0), mixed.assignments(0));
    }
}
