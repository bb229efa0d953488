//! One member of a cluster that says anything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::id::{Boot, ChildId, HubId, Member, NodeId, RequestId};
use process_hub_core::message::{
    Attributes, Batch, Hello, HubMessage, Phase, RowState, Snapshot, WireDot, WireMemory, WireRow,
};
use process_hub_core::request::Request;
use process_hub_core::spec::Role;
use process_hub_core::{Effects, Hub, HubInput, Input, LinkEvent, Message, Node, Time};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[path = "../../fuzz/bodies/hostile_peer.rs"]
mod hostile_peer;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(100) })]

    #[test]
    fn the_honest_agree_whatever_one_has_said(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        hostile_peer::run(&bytes);
    }
}

/// Found by fuzzing: one goodbye in the name of another member, and that was out of the hub for the rest of its life,
/// though it had a link all the while and had said nothing of the sort.
#[test]
fn who_has_a_link_is_not_spoken_for() {
    let hub = HubId::new("h").unwrap();
    let config = HubConfig::new(hub.clone());
    let member = |node: &str| Member { node: NodeId::new(node).unwrap(), boot: Boot(1) };
    let (honest, hostile) = (member("n2"), member("n4"));
    let mut node = Node::new(NodeConfig::new(member("n1").node, "n1"), Boot(1), 1).unwrap();
    let mut handle = |input| node.handle(Time::from_millis(1), input, &mut Effects::new());
    handle(Input::Request { id: RequestId(1), request: Request::OpenHub(config.clone()) });
    for member in [&honest, &hostile] {
        let addr = member.node.as_str().into();
        handle(Input::Link(LinkEvent::Up { member: member.clone(), addr, dialled: None, known: None }));
    }
    let hello = Hello {
        config: config.digest(),
        fields: config.fields(),
        phase: Phase::Ready,
        minted: Boot(1),
        position: None,
        told: (0, 0),
        answer: false,
        attributes: Attributes::default(),
        memory: WireMemory::default(),
        known: None,
    };
    let said = |body| Message::Hub { hub: hub.clone(), body };
    handle(Input::Message { from: honest.clone(), message: said(HubMessage::Hello(hello)) });
    let goodbye = Message::Relayed { origin: honest.clone(), hub: hub.clone(), body: HubMessage::Bye };
    handle(Input::Message { from: hostile.clone(), message: goodbye.clone() });
    assert!(node.hub(&hub).unwrap().view().contains(&honest), "it has a link of its own");

    let mut handle = |input| node.handle(Time::from_millis(1), input, &mut Effects::new());
    handle(Input::Link(LinkEvent::Down { member: honest.clone() }));
    handle(Input::Message { from: hostile, message: goodbye });
    assert!(!node.hub(&hub).unwrap().view().contains(&honest), "who has none is spoken for by others");
}

/// Found by fuzzing: a member that had yet to take part told of a copy that it runs, and a lookup showed that copy though
/// its node was not in the view.
#[test]
fn who_does_not_take_part_runs_nothing() {
    let config = HubConfig::new(HubId::new("h").unwrap());
    let member = |node: &str| Member { node: NodeId::new(node).unwrap(), boot: Boot(1) };
    let (now, from) = (Time::from_millis(1), member("n4"));
    let mut hub = Hub::new(config.clone(), member("n1"), true, now).unwrap();
    let mut handle = |input| hub.handle(now, input, &mut Effects::new());
    handle(HubInput::MemberUp(from.clone()));
    let hello = Hello {
        config: config.digest(),
        fields: config.fields(),
        phase: Phase::Joining,
        minted: Boot(1),
        position: None,
        told: (0, 0),
        answer: false,
        attributes: Attributes::default(),
        memory: WireMemory::default(),
        known: None,
    };
    handle(HubInput::Message { from: from.clone(), body: HubMessage::Hello(hello) });
    let id = ChildId::new("c").unwrap();
    let (dot, role, state) = (WireDot { origin: 0, counter: 1 }, Role::Active, RowState::Running);
    let row = WireRow { id: id.clone(), dot, sequence: 1, lineage: 0, token: 1, role, state };
    let batch = Batch { origins: vec![from.clone()], rows: vec![row], snapshot: Snapshot::Last, ..Batch::default() };
    let body = HubMessage::Batch { epoch: 1, number: 0, batch: batch.into() };
    handle(HubInput::Message { from, body });
    assert_eq!(hub.registry().lookup(&id), None);
}

/// Found by fuzzing: one hello in the name of another member, of a version that no later one can outdo, and what that
/// member said of itself counted no more, so that no view was completed again.
#[test]
fn what_a_member_says_of_itself_outdoes_what_others_have_said() {
    let config = HubConfig::new(HubId::new("h").unwrap());
    let member = |node: &str| Member { node: NodeId::new(node).unwrap(), boot: Boot(1) };
    let (now, honest) = (Time::from_millis(1), member("n2"));
    let hello = |attributes| {
        let (config, fields, memory) = (config.digest(), config.fields(), WireMemory::default());
        let (phase, minted) = (Phase::Ready, Boot(1));
        let hello = Hello {
            config,
            fields,
            phase,
            minted,
            position: None,
            told: (0, 0),
            answer: false,
            attributes,
            memory,
            known: None,
        };
        HubMessage::Hello(hello)
    };
    let of = |version, weight| hello(Attributes { version, weight, ..Attributes::default() });
    let said = |body| HubInput::Message { from: honest.clone(), body };
    let relayed = |body| HubInput::Relayed { origin: honest.clone(), body };
    let view_after = |messages: &[HubInput]| {
        let mut hub = Hub::new(config.clone(), member("n1"), true, now).unwrap();
        for input in [&[HubInput::MemberUp(honest.clone())], messages].concat() {
            hub.handle(now, input, &mut Effects::new());
        }
        hub.view_hash()
    };
    let honest_view = view_after(&[said(of(2, 3))]);
    assert_ne!(view_after(&[relayed(of(u64::MAX, 9))]), honest_view, "nothing else is known of it");
    assert_eq!(view_after(&[relayed(of(u64::MAX, 9)), said(of(2, 3))]), honest_view, "its own word counts");
    assert_eq!(view_after(&[said(of(2, 3)), relayed(of(1, 2))]), honest_view, "what is older came later");
}
