//! Lives of names: a clock that was set back, and what others claim of members that are up.

#![allow(clippy::unwrap_used, reason = "tests")]

use process_hub_core::config::HubConfig;
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId, RequestId};
use process_hub_core::message::{
    Attributes, Batch, Hello, HubMessage, Message, Phase, WireContext, WireLife, WireMemory, WireSeen,
};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{Effect, Effects, Hub, HubInput, Time};

fn member(name: &str, boot: u64) -> Member {
    Member { node: NodeId::new(name).unwrap(), boot: Boot(boot) }
}

/// What an input leads to be said.
fn said(hub: &mut Hub, input: HubInput) -> Vec<HubMessage> {
    let mut effects = Effects::new();
    hub.handle(Time::from_millis(1), input, &mut effects);
    let body = |effect| match effect {
        Effect::Send { message: Message::Hub { body, .. }, .. } => Some(body),
        _ => None,
    };
    effects.into_iter().filter_map(body).collect()
}

fn hear(hub: &mut Hub, body: HubMessage) -> Vec<HubMessage> {
    hear_from(hub, member("n2", 3), body)
}

fn hear_from(hub: &mut Hub, from: Member, body: HubMessage) -> Vec<HubMessage> {
    said(hub, HubInput::Message { from, body })
}

fn hello(hub: &Hub) -> HubMessage {
    hello_of(hub, Boot(3))
}

fn hello_of(hub: &Hub, minted: Boot) -> HubMessage {
    HubMessage::Hello(Hello {
        config: hub.config().digest(),
        fields: vec![],
        phase: Phase::Ready,
        minted,
        position: None,
        told: (0, 0),
        answer: false,
        attributes: Attributes::default(),
        memory: WireMemory::default(),
        known: None,
    })
}

/// The batches among them.
fn batches(said: &[HubMessage]) -> Vec<&Batch> {
    let mut batches: Vec<&Batch> = Vec::new();
    for body in said {
        if let HubMessage::Batch { batch, .. } = body {
            batches.push(batch);
        }
    }
    batches
}

#[test]
fn what_a_life_below_a_closed_one_has_declared_goes_on_under_another() {
    let mut hub = Hub::new(HubConfig::new(HubId::new("h").unwrap()), member("n1", 5), true, Time::ZERO).unwrap();
    let id = ChildId::new("c").unwrap();
    let children = vec![ChildSpec::new(id.clone(), Kind::new("k").unwrap(), Vec::new())];
    let request = Request::Start { hub: HubId::new("h").unwrap(), children, options: StartOptions::default() };
    said(&mut hub, HubInput::Request { id: RequestId(1), request });
    said(&mut hub, HubInput::MemberUp(member("n2", 3)));
    let hello = hello(&hub);
    let asked = hear(&mut hub, hello);
    let round = asked.iter().find_map(|body| match body {
        HubMessage::Pull { round, .. } => Some(*round),
        _ => None,
    });
    // Of n1, all up to and with boot 9 is seen there, and nothing of it is left.
    let seen = vec![WireSeen { origin: member("n1", 9), upto: u64::MAX, beyond: vec![] }];
    let context = WireContext { seen, ..WireContext::default() };
    let buckets = vec![0; 1_024];
    let asked = hear(&mut hub, HubMessage::Digests { round: round.unwrap(), context: context.clone(), buckets });
    let Some(&HubMessage::PullRange { round, from, to, .. }) =
        asked.iter().find(|body| matches!(body, HubMessage::PullRange { .. }))
    else {
        panic!("it asks for what differs: {asked:?}");
    };
    let (origins, dots, entries, assigns) = (vec![], vec![], vec![], vec![]);
    hear(&mut hub, HubMessage::Listing { round, from, to, context, origins, dots, entries, assigns });
    assert_eq!(hub.registry().len(), 1, "it was declared here, whatever is seen there");
    let told = said(&mut hub, HubInput::Tick);
    let changes = batches(&told).into_iter().find(|batch| !batch.stops.is_empty()).unwrap();
    let boot = |origin: u16| changes.origins[usize::from(origin)].boot;
    assert_eq!(changes.starts.iter().map(|start| boot(start.dot.origin)).collect::<Vec<_>>(), [Boot(10)]);
    assert_eq!(changes.stops[0].dots.iter().map(|dot| boot(dot.origin)).collect::<Vec<_>>(), [Boot(5)]);
}

/// The comparison that n2 is asked for once it has said hello, answered with what it claims of other names.
fn claim(hub: &mut Hub, told: &WireLife) {
    let hello = hello(hub);
    let asked = hear(hub, hello);
    let round = asked.iter().find_map(|body| match body {
        HubMessage::Pull { round, .. } => Some(*round),
        _ => None,
    });
    let context = WireContext { names: vec![told.clone()], ..WireContext::default() };
    hear(hub, HubMessage::Same { round: round.unwrap(), context });
}

/// Found by the fuzz target `hostile_peer`.
#[test]
fn what_others_claim_of_a_name_takes_no_member_away_that_is_up() {
    let life = |boot, mints, forgotten| WireLife { member: member("n3", boot), mints: Boot(mints), forgotten };
    let claims = [life(2, 2, false), life(1, 1, true), life(2, 2, true), life(u64::MAX, 1, false), life(1, 9, false)];
    for told in claims {
        let mut hub = Hub::new(HubConfig::new(HubId::new("h").unwrap()), member("n1", 5), true, Time::ZERO).unwrap();
        let met = member("n3", 1);
        said(&mut hub, HubInput::MemberUp(met.clone()));
        let hello = hello_of(&hub, Boot(1));
        let asked = hear_from(&mut hub, met.clone(), hello.clone());
        let Some(&HubMessage::Pull { round, root, lives }) =
            asked.iter().find(|body| matches!(body, HubMessage::Pull { .. }))
        else {
            panic!("it compares with whom it meets: {asked:?}");
        };
        hear_from(&mut hub, met.clone(), HubMessage::Same { round, context: WireContext::default() });
        said(&mut hub, HubInput::MemberUp(member("n2", 3)));
        claim(&mut hub, &told);
        let view = hub.view_hash();
        let answer = hear_from(&mut hub, met.clone(), HubMessage::Pull { round: 1, root, lives });
        let answered = answer.iter().find_map(|body| match body {
            HubMessage::Same { context, .. } => context.names.iter().find(|life| life.member.node == met.node),
            _ => None,
        });
        assert_eq!(answered, Some(&life(1, 1, false)), "{told:?}: {answer:?}");

        // It is for membership to say that this life is over; then others may know of a later one.
        said(&mut hub, HubInput::MemberDown(met.clone()));
        assert_ne!(hub.view_hash(), view, "{told:?}: it was in the view");
        claim(&mut hub, &told);
        said(&mut hub, HubInput::MemberUp(met.clone()));
        let answer = hear_from(&mut hub, met, hello);
        let is_turned_away = |body: &HubMessage| matches!(body, HubMessage::Hello(hello) if hello.known.is_some());
        let is_over = told.forgotten || told.member.boot == Boot(2);
        let asks = answer.iter().any(|body| matches!(body, HubMessage::Pull { .. }));
        assert_eq!(asks, !is_over, "{told:?}: {answer:?}");
        assert!(is_over || !answer.iter().any(is_turned_away));
    }
}
