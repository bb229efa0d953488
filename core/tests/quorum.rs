//! What a restarted member makes of an operator's reset, message by message.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use process_hub_core::config::{HubConfig, Partition};
use process_hub_core::id::{Boot, HubId, Member, NodeId};
use process_hub_core::message::{
    Attributes, Hello, HubMessage, Known, Message, Phase, Standing, WireContext, WireMemory,
};
use process_hub_core::{Effect, Effects, Hub, HubInput, Time};

fn member(name: &str) -> Member {
    Member { node: NodeId::new(name).unwrap(), boot: Boot(2) }
}

/// The hub of n1, which may have granted something in an earlier life and has waited since; n2 and n3 are up with it.
struct Restarted {
    hub: Hub,
    now: Time,
}

impl Restarted {
    fn new() -> Self {
        let mut config = HubConfig::new(HubId::new("h").unwrap());
        config.partition = Partition::StaticQuorum { quorum_size: 3, startup_confirm: true };
        let hub = Hub::new(config, member("n1"), false, Time::ZERO).unwrap();
        let mut restarted = Self { hub, now: Time::from_millis(1) };
        for name in ["n2", "n3"] {
            restarted.said(HubInput::MemberUp(member(name)));
            let hello = HubMessage::Hello(Hello {
                config: restarted.hub.config().digest(),
                fields: vec![],
                phase: Phase::Joining,
                minted: Boot(2),
                position: None,
                told: (0, 0),
                answer: false,
                attributes: Attributes::default(),
                memory: WireMemory::default(),
                known: None,
            });
            let asked = restarted.hear(name, hello);
            let pulls = asked.iter().filter_map(|body| match body {
                HubMessage::Pull { round, .. } => Some(*round),
                _ => None,
            });
            for round in pulls.collect::<Vec<_>>() {
                restarted.hear(name, HubMessage::Same { round, context: WireContext::default() });
            }
        }
        restarted.pass(20);
        restarted
    }

    fn said(&mut self, input: HubInput) -> Vec<HubMessage> {
        let mut effects = Effects::new();
        self.hub.handle(self.now, input, &mut effects);
        let body = |effect| match effect {
            Effect::Send { message: Message::Hub { body, .. }, .. } => Some(body),
            _ => None,
        };
        effects.into_iter().filter_map(body).collect()
    }

    fn hear(&mut self, from: &str, body: HubMessage) -> Vec<HubMessage> {
        self.said(HubInput::Message { from: member(from), body })
    }

    /// Time passes, and rounds begin.
    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.said(HubInput::Tick);
        self.said(HubInput::Tick);
    }

    /// What it tells n2 that it counts for, once a round of its own has begun.
    fn counts_for(&mut self) -> Standing {
        self.pass(2);
        let ask = HubMessage::LeaseAsk { round: 9, ballot: 0, known: Known::default() };
        let standing = self.hear("n2", ask).into_iter().find_map(|body| match body {
            HubMessage::LeaseGrant { standing, .. } => Some(standing),
            _ => None,
        });
        standing.unwrap()
    }
}

/// After an operator's reset.
fn anew() -> Known {
    Known { epoch: 1, size: 4, lineage: 1, ballot: 0 }
}

#[test]
fn whoever_has_waited_counts_once_it_is_told_of_a_reset() {
    let mut n1 = Restarted::new();
    assert_eq!(n1.counts_for(), Standing::Waited);
    n1.hear("n2", HubMessage::Reset(WireMemory { known: anew(), ..WireMemory::default() }));
    assert_eq!(n1.counts_for(), Standing::Counted);
}

#[test]
fn a_reset_counts_though_a_round_has_brought_its_epoch() {
    let mut n1 = Restarted::new();
    n1.hear("n3", HubMessage::LeaseAsk { round: 1, ballot: 0, known: anew() });
    assert_eq!(n1.counts_for(), Standing::Waited, "it may have been in that epoch before, and have forgotten that");
    n1.hear("n2", HubMessage::Reset(WireMemory { known: anew(), ..WireMemory::default() }));
    assert_eq!(n1.counts_for(), Standing::Counted);
}

#[test]
fn names_of_another_epoch_are_no_reset() {
    let mut n1 = Restarted::new();
    let names = vec![member("n2").node];
    n1.hear("n2", HubMessage::Memory(WireMemory { known: anew(), names, losses: vec![] }));
    assert_eq!(n1.counts_for(), Standing::Waited, "it may have been in that epoch before, and have forgotten that");
}

#[test]
fn a_reset_that_another_has_outdone_counts_for_nothing() {
    let mut n1 = Restarted::new();
    n1.hear("n3", HubMessage::LeaseAsk { round: 1, ballot: 0, known: Known { epoch: 2, ..anew() } });
    n1.hear("n2", HubMessage::Reset(WireMemory { known: anew(), ..WireMemory::default() }));
    assert_eq!(n1.counts_for(), Standing::Waited);
}
