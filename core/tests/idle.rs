//! What hubs say while nothing happens.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use world::World;

/// Failure 1: idle hubs compare numbers, not lists. A hundred times as many children are no more bytes.
#[test]
fn f1_idle_hubs_say_as_little_of_many_children_as_of_few() {
    let bytes = |children: usize| {
        let mut world = World::new(&["n1", "n2", "n3"]);
        world.start_ok("n1", children);
        world.run_for(20_000);
        let before = world.bytes;
        world.run_for(60_000);
        world.assert_converged(children);
        (world.bytes - before) / 60
    };
    let (few, many) = (bytes(200), bytes(20_000));
    println!("{few} bytes a second with 200 children, {many} with 20,000");
    assert!(few > 0 && many <= few * 2 && many < 1_000, "{few} bytes a second, then {many}");
}
