//! Messages to children that come more than once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use process_hub_core::id::{Member, NodeId};
use process_hub_core::message::HubMessage;
use process_hub_core::{Effect, Effects, HubInput};

use world::{World, id, node};

/// How often a host hands a message that comes now to its child `c0`.
fn delivered(world: &mut World, host: &NodeId, from: &Member, number: u64) -> usize {
    let sequence = world.live[&(id("c0"), host.clone())];
    let body = HubMessage::Call { number, id: id("c0"), sequence, reply: false, payload: "x".into() };
    let mut effects = Effects::new();
    let input = HubInput::Message { from: from.clone(), body };
    world.hubs.get_mut(host).unwrap().handle(world.now, input, &mut effects);
    effects.into_iter().filter(|effect| matches!(effect, Effect::Deliver { .. })).count()
}

/// Found by simulation (AMO, seed 71243): a frame that a relay had passed on came a second time after the host had lost
/// its caller and met it again, in the same life.
#[test]
fn a_message_that_comes_again_after_its_caller_was_away_is_not_delivered_again() {
    let mut world = World::new(&["n1", "n2"]);
    world.start_ok("n1", 1);
    let host = world.live.keys().next().unwrap().1.clone();
    let other = if host == node("n1") { "n2" } else { "n1" };
    let caller = world.member(other).unwrap();
    for number in [101, 103] {
        assert_eq!(delivered(&mut world, &host, &caller, number), 1);
    }
    assert_eq!(delivered(&mut world, &host, &caller, 101), 0);

    world.input(host.as_str(), HubInput::MemberDown(caller.clone()));
    world.input(host.as_str(), HubInput::MemberUp(caller.clone()));
    world.run();
    for number in [101, 103] {
        assert_eq!(delivered(&mut world, &host, &caller, number), 0, "message {number} comes again");
    }
    assert_eq!(delivered(&mut world, &host, &caller, 104), 1, "a new one is none that comes again");

    // Another life of the caller numbers its messages anew.
    world.hubs.remove(&caller.node);
    world.join(other, caller.boot.0 + 1, false);
    let next = world.member(other).unwrap();
    assert!(next.boot > caller.boot);
    assert_eq!(delivered(&mut world, &host, &next, 101), 1);
    assert_eq!(delivered(&mut world, &host, &next, 101), 0);
}
