//! The opening of a link: who belongs together finds together, and nobody else does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use process_hub_core::id::{Boot, Member, NodeId};
use process_hub_core::wire::{Cookie, HANDSHAKE_LIMIT, Handshake, HandshakeConfig, HandshakeError, Peer, Step};
use proptest::prelude::*;

#[path = "../../fuzz/bodies/handshake.rs"]
mod adversary;

const SECRET: &str = "a cookie of more than thirty-two bytes";

fn member(name: &str) -> Member {
    Member { node: NodeId::new(name).unwrap(), boot: Boot(100) }
}

fn cookie(secret: &str) -> Cookie {
    Cookie::new(secret).unwrap()
}

fn config(name: &str) -> HandshakeConfig {
    with_cookie(name, SECRET)
}

fn with_cookie(name: &str, secret: &str) -> HandshakeConfig {
    HandshakeConfig::new(member(name), format!("{name}:7401"), "default", &cookie(secret)).unwrap()
}

/// Both ends of a handshake and what was said so far.
struct Pair {
    initiator: Handshake,
    responder: Handshake,
    /// Everything said, in order; the initiator speaks first.
    said: Vec<Vec<u8>>,
}

type Outcome = Result<Peer, HandshakeError>;

impl Pair {
    fn new(initiator: HandshakeConfig, responder: HandshakeConfig) -> Pair {
        Pair::with_nonces(initiator, responder, [[1; 32], [2; 32]])
    }

    fn with_nonces(initiator: HandshakeConfig, responder: HandshakeConfig, nonces: [[u8; 32]; 2]) -> Pair {
        let (initiator, hello) = Handshake::initiator(initiator, nonces[0]).unwrap();
        Pair { initiator, responder: Handshake::responder(responder, nonces[1]), said: vec![hello] }
    }

    fn run(&mut self) -> (Outcome, Outcome) {
        self.run_through(|_, said| said)
    }

    /// Carries on to the end through something that may change what is said. A refusal is delivered as well.
    fn run_through(&mut self, mut change: impl FnMut(usize, Vec<u8>) -> Vec<u8>) -> (Outcome, Outcome) {
        let known = BTreeMap::from([("n1", Boot(41)), ("n2", Boot(42))]);
        let mut outcomes = [None, None];
        for turn in 0.. {
            let Some(said) = self.said.get(turn) else { break };
            let said = change(turn, said.clone());
            let listener = (turn + 1) % 2;
            let machine = if listener == 0 { &mut self.initiator } else { &mut self.responder };
            let answer = match machine.handle(&said, |name| known.get(name.as_str()).copied()) {
                Ok(Step::Send(answer)) => Some(answer),
                Ok(Step::Done { send, peer }) => {
                    outcomes[listener] = Some(Ok(peer));
                    send
                }
                Err(error) => {
                    outcomes[listener].get_or_insert(Err(error));
                    machine.refusal().map(<[u8]>::to_vec)
                }
            };
            self.said.extend(answer);
        }
        let [initiator, responder] = outcomes.map(|outcome| outcome.unwrap_or(Err(HandshakeError::Over)));
        (initiator, responder)
    }
}

fn peer(name: &str, known: u64) -> Peer {
    Peer { member: member(name), addr: format!("{name}:7401").into(), known: Some(Boot(known)), version: 1 }
}

#[test]
fn two_nodes_with_one_cookie_accept_each_other() {
    let mut pair = Pair::new(config("n1"), config("n2"));
    // Each learns what the other knows of its own name.
    assert_eq!(pair.run(), (Ok(peer("n2", 41)), Ok(peer("n1", 42))));
    assert_eq!(pair.said.len(), 4);
    assert!(pair.said.iter().all(|said| said.len() < 256));
    let late = pair.initiator.handle(&pair.said[3], |_| None);
    assert_eq!(late, Err(HandshakeError::Over));
    assert_eq!(pair.initiator.refusal(), None);
}

#[test]
fn what_is_said_never_changes() {
    let mut pair = Pair::new(config("n1"), config("n2"));
    pair.run().0.unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/handshake.txt");
    let words: String =
        pair.said.iter().map(|said| said.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n").collect();
    // Written anew only for a deliberate change of protocol.
    if std::env::var_os("PROCESS_HUB_WRITE_GOLDEN").is_some() {
        std::fs::write(file, &words).unwrap();
    }
    assert_eq!(words, std::fs::read_to_string(file).unwrap(), "a difference here is a change of protocol");
}

#[test]
fn another_cookie_is_refused_by_the_side_that_checks_first() {
    let mut pair = Pair::new(config("n1"), with_cookie("n2", "another cookie"));
    let (initiator, responder) = pair.run();
    assert_eq!(initiator, Err(HandshakeError::Refused));
    assert_eq!(responder, Err(HandshakeError::Cookie { node: member("n1").node }));
    assert_eq!(pair.said.len(), 4, "two hellos, a proof, a refusal: the responder proves nothing");
    assert_eq!(pair.said[3].len(), 9, "which says nothing but that it is one");
}

#[test]
fn a_responder_without_the_cookie_is_not_believed() {
    // It goes on as if the proof were good, and gives one under its own cookie.
    let mut honest = Pair::new(config("n1"), config("n2"));
    let mut rogue = Pair::new(with_cookie("n1", "another cookie"), with_cookie("n2", "another cookie"));
    rogue.run().0.unwrap();
    let forged = rogue.said[3].clone();
    let (initiator, _) = honest.run_through(|turn, said| if turn == 3 { forged.clone() } else { said });
    assert_eq!(initiator, Err(HandshakeError::Cookie { node: member("n2").node }));
}

#[test]
fn cookies_can_be_changed_node_by_node() {
    let old = || with_cookie("n1", "the old cookie");
    let both = |name| with_cookie(name, "the new cookie").previous(&cookie("the old cookie"));
    let new = || with_cookie("n2", "the new cookie");
    for (initiator, responder) in
        [(old(), both("n2")), (both("n2"), old()), (both("n1"), both("n2")), (new(), both("n1"))]
    {
        let (initiator, responder) = Pair::new(initiator, responder).run();
        assert!(initiator.is_ok() && responder.is_ok());
    }
    let (initiator, responder) = Pair::new(old(), new()).run();
    assert!(initiator.is_err() && responder.is_err());
}

#[test]
fn another_cluster_is_named_here_and_not_there() {
    let other = HandshakeConfig::new(member("n2"), "n2:7401", "other", &cookie(SECRET)).unwrap();
    let mut pair = Pair::new(config("n1"), other);
    let (initiator, responder) = pair.run();
    let named = HandshakeError::Cluster { node: member("n1").node, ours: "other".into(), theirs: "default".into() };
    assert_eq!((initiator, responder), (Err(HandshakeError::Refused), Err(named.clone())));
    assert!(named.to_string().contains("`default`") && named.to_string().contains("`other`"));
    assert!(!String::from_utf8_lossy(&pair.said[1]).contains("other"));
}

#[test]
fn versions_that_do_not_meet_are_refused_in_words_on_both_sides() {
    let mut pair = Pair::new(config("n1"), config("n2").versions(2..=3));
    let (initiator, responder) = pair.run();
    assert_eq!(initiator, Err(HandshakeError::Version { ours: 1..=1, theirs: 2..=3 }));
    assert_eq!(responder, Err(HandshakeError::Version { ours: 2..=3, theirs: 1..=1 }));
    assert!(initiator.unwrap_err().to_string().contains("versions 2 to 3, this node 1 to 1"));

    let mut pair = Pair::new(config("n1").versions(1..=5), config("n2").versions(3..=4));
    let (initiator, responder) = pair.run();
    assert_eq!((initiator.unwrap().version, responder.unwrap().version), (4, 4));
}

#[test]
fn versions_cannot_be_talked_down() {
    let mut pair = Pair::new(config("n1").versions(1..=2), config("n2").versions(1..=2));
    let down = |turn: usize, mut said: Vec<u8>| {
        if turn < 2 {
            said[7] = 1;
        }
        said
    };
    let (initiator, responder) = pair.run_through(down);
    assert!(initiator.is_err() && responder.is_err(), "both would have spoken version 1");
}

#[test]
fn a_node_does_not_talk_to_itself() {
    let (initiator, responder) = Pair::new(config("n1"), config("n1")).run();
    assert_eq!((initiator, responder), (Err(HandshakeError::Myself), Err(HandshakeError::Myself)));

    let twin = Member { boot: Boot(200), ..member("n1") };
    let twin = HandshakeConfig::new(twin, "n1:7402", "default", &cookie(SECRET)).unwrap();
    let (initiator, responder) = Pair::new(config("n1"), twin).run();
    assert_eq!(initiator, Err(HandshakeError::SameName { node: member("n1").node, boot: Boot(200) }));
    assert_eq!(responder, Err(HandshakeError::SameName { node: member("n1").node, boot: Boot(100) }));
}

#[test]
fn what_a_node_said_proves_nothing_to_it() {
    // Its own hello.
    let mut pair = Pair::new(config("n1"), config("n2"));
    let hello = pair.said[0].clone();
    assert_eq!(pair.initiator.handle(&hello, |_| None), Err(HandshakeError::Reflected));
    // Its own proof, as if it were the responder's.
    let mut pair = Pair::new(config("n1"), config("n2"));
    let mut proof = vec![];
    let (initiator, _) = pair.run_through(|turn, said| match turn {
        2 => {
            proof = said.clone();
            said
        }
        3 => proof.clone(),
        _ => said,
    });
    assert_eq!(initiator, Err(HandshakeError::Cookie { node: member("n2").node }));
}

#[test]
fn another_sessions_words_prove_nothing() {
    let mut recorded = Pair::new(config("n1"), config("n2"));
    recorded.run().0.unwrap();
    // All that the initiator said, to a responder with a fresh nonce.
    let mut replay = Pair::with_nonces(config("n1"), config("n2"), [[1; 32], [3; 32]]);
    let (_, responder) = replay.run_through(|turn, said| if turn == 2 { recorded.said[2].clone() } else { said });
    assert_eq!(responder, Err(HandshakeError::Cookie { node: member("n1").node }));
    // All that the responder said, to an initiator with a fresh nonce.
    let mut replay = Pair::with_nonces(config("n1"), config("n2"), [[4; 32], [2; 32]]);
    let (initiator, _) =
        replay.run_through(|turn, said| if turn % 2 == 1 { recorded.said[turn].clone() } else { said });
    assert!(initiator.is_err());
}

#[test]
fn a_handshake_is_bound_to_its_channel() {
    // Carried word by word from one TLS channel to another.
    let (initiator, responder) = Pair::new(config("n1").exporter([1; 32]), config("n2").exporter([2; 32])).run();
    assert!(initiator.is_err() && responder.is_err());
    let (initiator, responder) = Pair::new(config("n1").exporter([1; 32]), config("n2").exporter([1; 32])).run();
    assert!(initiator.is_ok() && responder.is_ok());
}

#[test]
fn no_bit_of_what_is_said_can_be_changed() {
    let mut honest = Pair::new(config("n1"), config("n2"));
    honest.run().0.unwrap();
    for turn in 0..4 {
        for at in 0..honest.said[turn].len() * 8 {
            let flip = |now: usize, mut said: Vec<u8>| {
                if now == turn {
                    said[at / 8] ^= 1 << (at % 8);
                }
                said
            };
            let (initiator, responder) = Pair::new(config("n1"), config("n2")).run_through(flip);
            assert!(initiator.is_err(), "bit {at} of turn {turn}");
            assert!(turn == 3 || responder.is_err(), "bit {at} of turn {turn}");
        }
    }
}

#[test]
fn no_part_of_what_is_said_is_enough() {
    let mut honest = Pair::new(config("n1"), config("n2"));
    honest.run().0.unwrap();
    for turn in 0..4 {
        for len in 0..honest.said[turn].len() {
            let cut = |now: usize, mut said: Vec<u8>| {
                if now == turn {
                    said.truncate(len);
                }
                said
            };
            assert!(Pair::new(config("n1"), config("n2")).run_through(cut).0.is_err());
        }
    }
}

#[test]
fn strangers_are_refused_without_an_answer() {
    for said in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 600]] {
        let mut responder = Handshake::responder(config("n1"), [1; 32]);
        assert_eq!(responder.handle(said, |_| None), Err(HandshakeError::Stranger));
        assert_eq!(responder.refusal(), None);
    }
    let mut responder = Handshake::responder(config("n1"), [1; 32]);
    let long = vec![b'P'; HANDSHAKE_LIMIT + 1];
    assert!(matches!(responder.handle(&long, |_| None), Err(HandshakeError::Malformed(_))));
}

#[test]
fn secrets_are_not_shown() {
    let config = config("n1").previous(&cookie("an older cookie"));
    let (machine, _) = Handshake::initiator(config.clone(), [9; 32]).unwrap();
    let shown = format!("{:?} {config:?} {machine:?}", cookie(SECRET));
    assert!(shown.contains("redacted"));
    assert!(!shown.contains(SECRET) && !shown.contains(&format!("{:?}", SECRET.as_bytes())));
    let key = [b'C', b'o', b'o'];
    assert!(!shown.contains(&format!("{key:?}")));
}

#[test]
fn short_cookies_are_refused_or_called_weak() {
    assert!(Cookie::new("1234567").unwrap_err().to_string().contains("at least 8"));
    assert!(cookie("12345678").is_weak());
    assert!(!cookie(SECRET).is_weak());
}

#[test]
fn sizes_are_checked_at_the_start() {
    let error = HandshakeConfig::new(member("n1"), "n1:1", "", &cookie(SECRET)).unwrap_err();
    assert_eq!(error.field, "cluster");
    let error = HandshakeConfig::new(member("n1"), "x".repeat(257), "c", &cookie(SECRET)).unwrap_err();
    assert_eq!(error.field, "advertise");
}

/// Acts of the adversary that are mostly honest deliveries in a sensible order, so that some handshakes end well.
fn acts() -> impl Strategy<Value = Vec<u8>> {
    let act = prop_oneof![
        6 => (0..6_u8, any::<u8>(), any::<u8>()).prop_map(|(to, what, more)| [(to << 4) | 15, what, more]),
        1 => any::<[u8; 3]>(),
    ];
    proptest::collection::vec(act, 0..40).prop_map(|acts| acts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_adversary_between_cannot_make_strangers_friends(script in acts()) {
        adversary::run(&script);
    }

    #[test]
    fn any_bytes_are_refused_cleanly(script in proptest::collection::vec(any::<u8>(), 0..200), said in proptest::collection::vec(any::<u8>(), 0..100)) {
        adversary::run(&script);
        let mut responder = Handshake::responder(config("n1"), [1; 32]);
        prop_assert!(responder.handle(&said, |_| None).is_err());
        let framed: Vec<u8> = b"PHUB\0\x01\0\x01".iter().chain(&said).copied().collect();
        let mut responder = Handshake::responder(config("n1"), [1; 32]);
        prop_assert!(responder.handle(&framed, |_| None).is_err());
    }
}

/// The adversary's oracle has something to check: delivered in order, links do open.
#[test]
fn the_adversary_can_be_honest() {
    // To n2 what n1 said first, back, and so on. What was said grows side by side, so indexes shift as it does.
    let deliver = |to: u8, what: u8| [(to << 4) | 15, what, 0];
    let script = [deliver(1, 0), deliver(0, 1), deliver(1, 1), deliver(0, 3)].concat();
    adversary::run(&script);
    assert_eq!(adversary::opened(&script), 2);
}
