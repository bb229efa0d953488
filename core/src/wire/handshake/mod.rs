//! The opening of a link: two nodes prove to each other that they hold the same cookie.
//!
//! ```text
//! initiator                                  responder
//!     hello ------------------------------------->      who, which cluster, which versions, a nonce
//!           <------------------------------------- hello
//!     proof ------------------------------------->      HMAC over role, channel, both hellos, itself
//!           <------------------------------------- proof   the same, and over the first proof
//! ```
//!
//! The responder proves last, so that a stranger who connects gets nothing to try guesses on. Either side refuses its
//! own name and its own nonce. Strangers are told one thing only, that they are refused; the reason is in the local
//! error.

mod error;
mod said;
mod secret;

use alloc::vec::Vec;
use core::mem;
use core::ops::RangeInclusive;

use smol_str::SmolStr;

use crate::config::ConfigError;
use crate::id::{Addr, Boot, Member, NodeId};

pub use error::HandshakeError;
pub use said::HANDSHAKE_LIMIT;
pub use secret::{Cookie, CookieError};

use said::{Hello, Proof, Sort};
use secret::{Claim, HASH, Key, Prover};

/// The versions of the protocol that this build speaks.
pub const VERSIONS: RangeInclusive<u16> = 1..=1;

/// Random bytes that no handshake uses twice.
pub type Nonce = [u8; HASH];

/// What a node brings into every handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    member: Member,
    addr: Addr,
    cluster: SmolStr,
    keys: Vec<Key>,
    exporter: [u8; HASH],
    versions: RangeInclusive<u16>,
}

impl HandshakeConfig {
    /// For `member`, reached at `addr`, of the cluster `cluster`, over a channel without TLS.
    ///
    /// # Errors
    /// When the cluster's name is not of 1 to 128 bytes, or the address not of 1 to 256.
    pub fn new(
        member: Member,
        addr: impl AsRef<str>,
        cluster: impl AsRef<str>,
        cookie: &Cookie,
    ) -> Result<Self, ConfigError> {
        let (addr, cluster) = (addr.as_ref(), cluster.as_ref());
        if !(1..=128).contains(&cluster.len()) {
            return Err(ConfigError::new("cluster", cluster, "must be a name of 1 to 128 bytes"));
        }
        if !(1..=256).contains(&addr.len()) {
            return Err(ConfigError::new("advertise", addr, "must be an address of 1 to 256 bytes"));
        }
        Ok(Self {
            member,
            addr: Addr::new(addr),
            cluster: SmolStr::new(cluster),
            keys: Vec::from([cookie.key()]),
            exporter: [0; HASH],
            versions: VERSIONS,
        })
    }

    /// Accepts one more cookie, the one before: while cookies are changed node by node, old and new nodes meet.
    #[must_use]
    pub fn previous(mut self, cookie: &Cookie) -> Self {
        self.keys.truncate(1);
        self.keys.push(cookie.key());
        self
    }

    /// Binds the handshake to the TLS channel that exported these bytes (label `EXPORTER-Channel-Binding`).
    #[must_use]
    pub fn exporter(mut self, exporter: [u8; 32]) -> Self {
        self.exporter = exporter;
        self
    }

    /// Speaks these versions instead of [`VERSIONS`].
    #[must_use]
    pub fn versions(mut self, versions: RangeInclusive<u16>) -> Self {
        self.versions = versions;
        self
    }

    fn hello(&self, nonce: Nonce, known: Option<Boot>) -> Result<Vec<u8>, HandshakeError> {
        let hello = Hello {
            cluster: self.cluster.clone(),
            member: self.member.clone(),
            addr: self.addr.clone(),
            limits: said::limits_digest(),
            nonce,
            known,
        };
        said::write(&self.versions, Sort::Hello, &hello)
    }
}

/// The other node, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub member: Member,
    /// Where it can be reached.
    pub addr: Addr,
    /// The highest boot it knows of this node's name.
    pub known: Option<Boot>,
    /// The version of the protocol to speak.
    pub version: u16,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this and wait for the answer.
    Send(Vec<u8>),
    /// Send this, if there is anything; the link is open.
    Done {
        /// What the other side still waits for.
        send: Option<Vec<u8>>,
        /// Who is at the other end.
        peer: Peer,
    },
}

/// One side of one handshake. Each piece of bytes is one frame's payload.
#[derive(Debug)]
pub struct Handshake {
    config: HandshakeConfig,
    nonce: Nonce,
    state: State,
    refusal: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    /// The responder has heard nothing yet.
    Listening,
    /// The initiator has said this hello.
    Called { hello: Vec<u8> },
    /// The responder waits for the proof.
    Challenged { peer: Peer, transcript: [u8; HASH] },
    /// The initiator has given its proof and waits for the other.
    Proved { peer: Peer, transcript: [u8; HASH] },
    /// Done or failed.
    Over,
}

impl Handshake {
    /// The side that opened the stream, and the first thing to send. The nonce must be fresh from a source of
    /// randomness that cannot be guessed.
    ///
    /// # Errors
    /// Never with a configuration of the sizes that [`HandshakeConfig::new`] takes.
    pub fn initiator(config: HandshakeConfig, nonce: Nonce) -> Result<(Self, Vec<u8>), HandshakeError> {
        let hello = config.hello(nonce, None)?;
        let state = State::Called { hello: hello.clone() };
        Ok((Self { config, nonce, state, refusal: None }, hello))
    }

    /// The side that accepted the stream. The nonce must be fresh, as in [`Handshake::initiator`].
    #[must_use]
    pub fn responder(config: HandshakeConfig, nonce: Nonce) -> Self {
        Self { config, nonce, state: State::Listening, refusal: None }
    }

    /// Takes the next thing the other side said. `known` answers with the highest boot known of a name; it is asked at
    /// most once, for the name that the other side claims.
    ///
    /// # Errors
    /// The handshake failed and is over; see [`Handshake::refusal`].
    pub fn handle(&mut self, said: &[u8], known: impl FnOnce(&NodeId) -> Option<Boot>) -> Result<Step, HandshakeError> {
        let state = mem::replace(&mut self.state, State::Over);
        let step = self.step(state, said, known);
        if let Err(error) = &step {
            self.refuse(error);
        }
        step
    }

    /// After a failure: what to send before the stream is closed, if anything. It tells a stranger nothing.
    #[must_use]
    pub fn refusal(&self) -> Option<&[u8]> {
        self.refusal.as_deref()
    }

    fn step(
        &mut self,
        state: State,
        said: &[u8],
        known: impl FnOnce(&NodeId) -> Option<Boot>,
    ) -> Result<Step, HandshakeError> {
        if matches!(state, State::Over) {
            return Err(HandshakeError::Over);
        }
        let (version, sort, body) = said::read_head(&self.config.versions, said)?;
        match (state, sort) {
            (_, Sort::Refusal) => Err(HandshakeError::Refused),
            (State::Listening, Sort::Hello) => {
                let (peer, _) = self.greet(version, body)?;
                let hello = self.config.hello(self.nonce, known(&peer.member.node))?;
                let transcript = secret::transcript(said, &hello);
                self.state = State::Challenged { peer, transcript };
                Ok(Step::Send(hello))
            }
            (State::Called { hello }, Sort::Hello) => {
                let (peer, boot) = self.greet(version, body)?;
                let peer = Peer { known: boot, ..peer };
                let first = secret::transcript(&hello, said);
                let proof = self.prove(&first, known(&peer.member.node))?;
                self.state = State::Proved { peer, transcript: secret::transcript(&first, &proof) };
                Ok(Step::Send(proof))
            }
            (State::Challenged { peer, transcript }, Sort::Proof) => self.answer(peer, &transcript, said, body),
            (State::Proved { peer, transcript }, Sort::Proof) => {
                let proof: Proof = said::read(body)?;
                let beside = beside(said, None);
                let claim = self.claim(Prover::Responder, &transcript, &beside);
                // One proof for one cookie: the responder's was chosen by what matched.
                if proof.macs.len() != 1 || proof.known.is_some() || self.matching(&claim, &proof.macs).is_none() {
                    return Err(HandshakeError::Cookie { node: peer.member.node });
                }
                Ok(Step::Done { send: None, peer })
            }
            (_, Sort::Hello | Sort::Proof) => Err(HandshakeError::Malformed("it is out of its turn")),
        }
    }

    /// Checks a hello: who says it, and what it knows of this node's name.
    fn greet(&self, version: u16, body: &[u8]) -> Result<(Peer, Option<Boot>), HandshakeError> {
        let Hello { cluster, member, addr, limits, nonce, known } = said::read(body)?;
        if cluster != self.config.cluster {
            let ours = self.config.cluster.clone();
            return Err(HandshakeError::Cluster { node: member.node, ours, theirs: cluster });
        }
        if limits != said::limits_digest() {
            return Err(HandshakeError::Limits { node: member.node });
        }
        if nonce == self.nonce {
            return Err(HandshakeError::Reflected);
        }
        if member == self.config.member {
            return Err(HandshakeError::Myself);
        }
        if member.node == self.config.member.node {
            return Err(HandshakeError::SameName { node: member.node, boot: member.boot });
        }
        if !(1..=256).contains(&addr.len()) {
            return Err(HandshakeError::Malformed("its address has an impossible length"));
        }
        Ok((Peer { member, addr, known: None, version }, known))
    }

    /// The initiator's proof, one for each of its cookies.
    fn prove(&self, transcript: &[u8; HASH], known: Option<Boot>) -> Result<Vec<u8>, HandshakeError> {
        let beside = beside(&said::head(&self.config.versions, Sort::Proof), known);
        let claim = self.claim(Prover::Initiator, transcript, &beside);
        let macs = self.config.keys.iter().map(|key| key.prove(&claim)).collect();
        said::write(&self.config.versions, Sort::Proof, &Proof { known, macs })
    }

    /// The responder's verdict on the initiator's proof, and its own proof under the cookie that matched.
    fn answer(&self, peer: Peer, transcript: &[u8; HASH], said: &[u8], body: &[u8]) -> Result<Step, HandshakeError> {
        let Proof { known, macs } = said::read(body)?;
        if macs.len() > 2 {
            return Err(HandshakeError::Malformed("it gives too many proofs"));
        }
        let heard = beside(said, known);
        let Some(key) = self.matching(&self.claim(Prover::Initiator, transcript, &heard), &macs) else {
            return Err(HandshakeError::Cookie { node: peer.member.node });
        };
        let transcript = secret::transcript(transcript, said);
        let beside = beside(&said::head(&self.config.versions, Sort::Proof), None);
        let mac = key.prove(&self.claim(Prover::Responder, &transcript, &beside));
        let proof = Proof { known: None, macs: Vec::from([mac]) };
        let send = said::write(&self.config.versions, Sort::Proof, &proof)?;
        Ok(Step::Done { send: Some(send), peer: Peer { known, ..peer } })
    }

    fn claim<'a>(&'a self, prover: Prover, transcript: &'a [u8; HASH], beside: &'a [u8]) -> Claim<'a> {
        Claim { prover, exporter: &self.config.exporter, transcript, beside }
    }

    /// The key under which one of `proofs` holds. All keys are tried, whichever matches.
    fn matching(&self, claim: &Claim<'_>, proofs: &[[u8; HASH]]) -> Option<&Key> {
        self.config.keys.iter().fold(None, |found, key| match key.verifies(claim, proofs) {
            true => found.or(Some(key)),
            false => found,
        })
    }

    fn refuse(&mut self, error: &HandshakeError) {
        self.refusal = match error {
            HandshakeError::Stranger | HandshakeError::Refused | HandshakeError::Over => None,
            // Its hello is nothing a stranger would not get, and lets a node that dialled itself see that it did.
            HandshakeError::Myself | HandshakeError::SameName { .. } => self.config.hello(self.nonce, None).ok(),
            _ => Some(said::head(&self.config.versions, Sort::Refusal)),
        };
    }
}

/// All that goes beside a proof, for the proof to cover: the head, and the boot that is known.
fn beside(said: &[u8], known: Option<Boot>) -> Vec<u8> {
    let mut bytes = said[..said.len().min(said::HEAD)].to_vec();
    bytes.push(u8::from(known.is_some()));
    bytes.extend_from_slice(&known.unwrap_or_default().0.to_be_bytes());
    bytes
}
