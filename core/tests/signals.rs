//! Redundancy signals: which copies are told their role when they start, and that a change of role is always told.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::BTreeMap;

use process_hub_core::config::{Factor, HubConfig, Model, Redundancy, Signal};
use process_hub_core::id::NodeId;
use process_hub_core::spec::Role;

use world::{World, hub_id, node, spec};

const SIGNALS: [Signal; 4] = [Signal::None, Signal::Active, Signal::Passive, Signal::All];
const CHILDREN: usize = 40;

/// Three nodes with two copies of each child, all of them up.
fn started(model: Model, signal: Signal) -> World {
    let mut config = HubConfig::new(hub_id());
    config.redundancy = Redundancy::Replication { factor: Factor::Copies(2), model, signal };
    let mut world = World::with(&["n1", "n2", "n3"], config);
    let children = (0..CHILDREN).map(|at| spec(format!("c{at}"))).collect();
    let result = world.start("n1", children, process_hub_core::request::StartOptions::default()).unwrap();
    assert_eq!((result.errors.len(), result.started.len(), world.live.len()), (0, CHILDREN, 2 * CHILDREN));
    world
}

/// What each copy was told, in order.
fn told(world: &World) -> BTreeMap<(String, String), Vec<Role>> {
    let mut told: BTreeMap<_, Vec<Role>> = BTreeMap::new();
    for (child, at, role) in &world.roles {
        told.entry((child.to_string(), at.to_string())).or_default().push(*role);
    }
    told
}

/// What the registry says of each copy.
fn roles(world: &World) -> BTreeMap<(String, String), Role> {
    let hub = world.hubs.values().next().unwrap();
    let placements = hub.registry().iter().flat_map(|(id, row)| {
        let placed = |place: &process_hub_core::registry::Placement| (place.pid.node.to_string(), place.role);
        row.placements.iter().map(placed).map(move |(at, role)| ((id.to_string(), at), role)).collect::<Vec<_>>()
    });
    placements.collect()
}

fn has_role(world: &World, role: Role) -> usize {
    roles(world).values().filter(|has| **has == role).count()
}

#[test]
fn where_all_are_active_they_are_told_so_under_active_and_all() {
    for signal in SIGNALS {
        let world = started(Model::ActiveActive, signal);
        assert_eq!(has_role(&world, Role::Active), 2 * CHILDREN);
        let expected = if matches!(signal, Signal::Active | Signal::All) { 2 * CHILDREN } else { 0 };
        let told = told(&world);
        assert_eq!(told.len(), expected, "{signal:?}");
        assert!(told.values().all(|roles| *roles == [Role::Active]), "{signal:?}: {told:?}");
    }
}

/// A copy starts passive, and becomes active by a promotion, which is a change.
#[test]
fn where_one_is_active_it_is_always_told_and_the_others_under_passive_and_all() {
    for signal in SIGNALS {
        let world = started(Model::ActivePassive, signal);
        let (told, roles) = (told(&world), roles(&world));
        assert_eq!((has_role(&world, Role::Active), has_role(&world, Role::Passive)), (CHILDREN, CHILDREN));
        for (copy, role) in &roles {
            let words = told.get(copy).map_or(&[][..], Vec::as_slice);
            match (role, signal) {
                (Role::Active, _) => assert_eq!(words.last(), Some(&Role::Active), "{signal:?}: {copy:?}"),
                (Role::Passive, Signal::Passive | Signal::All) => assert_eq!(words, [Role::Passive], "{signal:?}"),
                (Role::Passive, Signal::None | Signal::Active) => assert_eq!(words, [], "{signal:?}: {copy:?}"),
            }
            let promotions = words.iter().filter(|word| **word == Role::Active).count();
            assert_eq!(promotions, usize::from(*role == Role::Active), "{signal:?}: {copy:?} is told once");
        }
    }
}

/// The loss of a node promotes copies, which are told, and has others started elsewhere, which are told by the signal.
#[test]
fn a_promotion_is_told_whatever_the_signal_and_a_new_copy_by_the_signal() {
    for signal in SIGNALS {
        let mut world = started(Model::ActivePassive, signal);
        let before = roles(&world);
        let orphans: Vec<&String> = before
            .iter()
            .filter(|((_, at), role)| at == "n2" && **role == Role::Active)
            .map(|(copy, _)| &copy.0)
            .collect();
        assert!(orphans.len() > 3);
        world.roles.clear();
        world.crash("n2");
        let (after, told) = (roles(&world), told(&world));
        assert_eq!((has_role(&world, Role::Active), has_role(&world, Role::Passive)), (CHILDREN, CHILDREN));
        let mut promoted = 0;
        for (copy, role) in &after {
            let words = told.get(copy).map_or(&[][..], Vec::as_slice);
            let (new, was) = (!before.contains_key(copy), before.get(copy) == Some(&Role::Active));
            match role {
                Role::Active if was => assert_eq!(words, [], "{signal:?}: {copy:?} was active all along"),
                Role::Active => {
                    promoted += 1;
                    assert!(orphans.contains(&&copy.0) && words.last() == Some(&Role::Active), "{signal:?}: {copy:?}");
                }
                Role::Passive if new && matches!(signal, Signal::Passive | Signal::All) => {
                    assert_eq!(words, [Role::Passive], "{signal:?}: {copy:?}");
                }
                Role::Passive => assert_eq!(words, [], "{signal:?}: {copy:?}"),
            }
        }
        assert_eq!(promoted, orphans.len(), "{signal:?}");
        assert!(after.keys().all(|(_, at)| NodeId::new(at.as_str()).is_ok_and(|at| at != node("n2"))));
    }
}
