//! Several handshakes at once through an adversary who delivers, drops, swaps, repeats, reflects, splices and changes
//! what is said. Who accepts must have heard exactly what one other side with the same cookie said, and the reverse.

use process_hub_core::id::{Boot, Member, NodeId};
use process_hub_core::wire::{Cookie, Handshake, HandshakeConfig, Peer, Step};

/// One run: three bytes are one act of the adversary.
pub(crate) fn run(script: &[u8]) {
    let sides = play(script);
    sides.iter().filter(|side| side.peer.is_some()).for_each(|side| check(side, &sides));
}

/// How many sides accepted in such a run: the check is worth something if some do.
#[allow(dead_code, reason = "asked by the tests only")]
pub(crate) fn opened(script: &[u8]) -> usize {
    play(script).iter().filter(|side| side.peer.is_some()).count()
}

fn play(script: &[u8]) -> [Side; 6] {
    let mut sides = [
        Side::new("n1", "shared", true, 1),
        Side::new("n2", "shared", false, 2),
        Side::new("n3", "shared", true, 3),
        Side::new("n2", "shared", false, 4),
        Side::new("n1", "shared", false, 5),
        Side::new("n4", "another", true, 6),
    ];
    for act in script.chunks_exact(3) {
        let said = forge(&sides, act);
        let to = usize::from(act[0] >> 4) % sides.len();
        sides[to].hear(said);
    }
    sides
}

/// Something that was said, or near to it.
fn forge(sides: &[Side], act: &[u8]) -> Vec<u8> {
    let pick = |by: u8| {
        let all: Vec<&Vec<u8>> = sides.iter().flat_map(|side| &side.said).collect();
        all.get(usize::from(by) % all.len().max(1)).map_or_else(Vec::new, |said| (*said).clone())
    };
    let mut said = pick(act[1]);
    match act[0] & 15 {
        0 if !said.is_empty() => {
            let at = usize::from(act[2]) % said.len();
            said[at] ^= 1 << (act[1] & 7);
        }
        1 => said.truncate(usize::from(act[2])),
        2 => {
            let other = pick(act[2]);
            let at = said.len() / 2;
            said.truncate(at);
            said.extend_from_slice(other.get(at..).unwrap_or_default());
        }
        3 => said.push(act[2]),
        _ => {}
    }
    said
}

fn check(side: &Side, sides: &[Side]) {
    let heard_by = |other: &Side| match side.initiator {
        // The initiator hears last: all that either said has arrived.
        true => other.heard == side.said && other.said == side.heard,
        // Its own proof may still be on its way.
        false => other.said == side.heard && other.heard[..] == side.said[..1],
    };
    let partner = sides.iter().find(|other| other.initiator != side.initiator && heard_by(other) || done(other, side));
    let Some(partner) = partner else { panic!("{} accepted what nobody said", side.member) };
    assert_eq!(partner.cookie, side.cookie, "only a cookie of its own convinces it");
    assert!(side.peer.as_ref().is_some_and(|peer| peer.member == partner.member), "and as who it is");
    assert_ne!(partner.member.node, side.member.node);
}

/// Whether both are done with each other.
fn done(other: &Side, side: &Side) -> bool {
    other.peer.is_some() && other.said == side.heard && other.heard == side.said
}

struct Side {
    member: Member,
    cookie: &'static str,
    initiator: bool,
    machine: Handshake,
    said: Vec<Vec<u8>>,
    /// What it took, up to the end.
    heard: Vec<Vec<u8>>,
    peer: Option<Peer>,
    over: bool,
}

impl Side {
    fn new(name: &str, cookie: &'static str, initiator: bool, nonce: u8) -> Side {
        let member = Member { node: NodeId::new(name).expect("a name"), boot: Boot(7) };
        let secret = Cookie::new(format!("the cookie {cookie}")).expect("long enough");
        let config = HandshakeConfig::new(member.clone(), "127.0.0.1:1", "c", &secret).expect("in bounds");
        let (machine, said) = match initiator {
            true => {
                let (machine, hello) = Handshake::initiator(config, [nonce; 32]).expect("in bounds");
                (machine, vec![hello])
            }
            false => (Handshake::responder(config, [nonce; 32]), vec![]),
        };
        Side { member, cookie, initiator, machine, said, heard: vec![], peer: None, over: false }
    }

    fn hear(&mut self, said: Vec<u8>) {
        let step = self.machine.handle(&said, |_| Some(Boot(3)));
        if self.over {
            assert!(step.is_err(), "what is over stays over");
            return;
        }
        match step {
            Ok(Step::Send(answer)) => self.said.push(answer),
            Ok(Step::Done { send, peer }) => {
                self.said.extend(send);
                self.peer = Some(peer);
                self.over = true;
            }
            Err(_) => {
                self.over = true;
                return;
            }
        }
        self.heard.push(said);
    }
}
