//! Messages to children that come more than once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use process_hub_core::id::{Member, NodeId, RequestId};
use process_hub_core::message::HubMessage;
use process_hub_core::request::{Reply, Request, Target};
use process_hub_core::{Effect, Effects, HubInput};

use world::{World, hub_id, id, node};

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

/// A call that came while its caller had lost sight of the copy's node goes there as soon as it sees it again.
#[test]
fn a_call_that_waits_goes_to_a_copy_that_comes_into_sight_again() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.start_ok("n1", 1);
    let host = world.live.keys().next().unwrap().1.clone();
    let caller = ["n1", "n2", "n3"].into_iter().find(|name| node(name) != host).unwrap();
    let member = world.member(host.as_str()).unwrap();
    world.input(caller, HubInput::MemberDown(member.clone()));
    let (to, timeout) = (Target::Child(id("c0")), Duration::from_secs(60));
    let request = Request::Call { hub: hub_id(), to, payload: "x".into(), timeout };
    let asked = RequestId(77);
    world.input(caller, HubInput::Request { id: asked, request });
    assert!(!world.replies.contains_key(&asked), "nobody is in sight");
    world.input(caller, HubInput::MemberUp(member));
    world.run_for(1);
    assert!(matches!(world.replies.get(&asked), Some(Reply::Call(Ok(_)))), "{:?}", world.replies.get(&asked));
}
