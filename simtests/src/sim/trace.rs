//! The rolling hash over everything that happens: equal on two runs exactly if they were the same.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use process_hub_core::{Effect, Input};

use super::event::HostId;
use crate::story::Story;

/// The rolling hash of a run.
pub(crate) struct Trace {
    hasher: Rolling,
    /// What was printed last, to be hashed.
    text: String,
    /// Prints every step as it happens.
    pub(crate) print: bool,
    /// Or keeps what concerns a violation.
    pub(crate) story: Option<Story>,
}

/// Folds one word after another into 64 bits, the same on every machine: what is hashed is mostly a few words at a time, which a
/// hash of long texts is slow for.
struct Rolling(u64);

impl Hasher for Rolling {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        for word in words {
            self.write_u64(word);
        }
        self.write_usize(bytes.len());
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        // Wegman and Carter's multiply and fold, as in wyhash: both halves of a product by an odd number.
        let product = u128::from(self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = ((product >> 64) as u64 ^ product as u64).wrapping_add(0xd1b5_4a32_d192_ed03);
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({:016x})", self.hash())
    }
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self { hasher: Rolling(seed), text: String::new(), print: false, story: None }
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// Something that is no input of a node.
    pub(crate) fn mark(&mut self, now: u64, host: HostId, what: &str, value: u64) {
        self.words([now, host as u64, what.len() as u64, value]);
        self.line(true, || format!("{now:>12} n{} -- {what} {value}", host + 1));
    }

    pub(crate) fn input(&mut self, now: u64, host: HostId, input: &Input) {
        self.words([now, host as u64]);
        let hasher = &mut self.hasher;
        match input {
            Input::Tick => hasher.write_u8(0),
            Input::Message { from, message } => (1u8, from, message).hash(hasher),
            Input::Frame { from, bytes } => (2u8, from, bytes).hash(hasher),
            Input::Link(event) => (3u8, event).hash(hasher),
            Input::Request { id, request } => {
                (4u8, id).hash(hasher);
                self.text(format_args!("{request:?}"));
            }
            Input::Load { sample, .. } => (7u8, sample).hash(hasher),
            Input::Child { sequence, event, .. } => (5u8, sequence, event).hash(hasher),
            Input::Altering { wanted, .. } => (6u8, wanted).hash(hasher),
        }
        self.line(false, || format!("{now:>12} n{} <- {input:?}", host + 1));
    }

    pub(crate) fn effect(&mut self, host: HostId, effect: &Effect) {
        let hasher = &mut self.hasher;
        match effect {
            Effect::Send { to, lane, message } => (0u8, to, lane, message).hash(hasher),
            Effect::Dial { addr } => (1u8, addr).hash(hasher),
            Effect::Hangup { member, .. } => (2u8, member).hash(hasher),
            Effect::Start { pid, token, spec, standby, .. } => (3u8, pid, token, &spec.args, standby).hash(hasher),
            Effect::Stop { id, sequence, why, .. } => (4u8, id, sequence, why).hash(hasher),
            Effect::Deliver { id, sequence, call, .. } => (5u8, id, sequence, call).hash(hasher),
            Effect::Reply { id, reply } => {
                (6u8, id).hash(hasher);
                self.text(format_args!("{reply:?}"));
            }
            Effect::Hook { event, .. } => (7u8, event).hash(hasher),
            Effect::RegistryChanged { id, .. } => (8u8, id).hash(hasher),
            Effect::ViewChanged { .. } => hasher.write_u8(9),
            Effect::SetRole { id, sequence, role, token, .. } => (10u8, id, sequence, role, token).hash(hasher),
            Effect::Alter { pid, spec, .. } => (11u8, pid, &spec.args).hash(hasher),
            Effect::SampleLoad { .. } => hasher.write_u8(12),
            Effect::TakeState { id, sequence, attempt, .. } => (13u8, id, sequence, attempt).hash(hasher),
            Effect::GiveState { id, sequence, state, why, .. } => (14u8, id, sequence, state, why).hash(hasher),
            Effect::Serve { id, sequence, token, .. } => (15u8, id, sequence, token).hash(hasher),
            Effect::HubClosed { .. } => hasher.write_u8(16),
        }
        let view = matches!(effect, Effect::ViewChanged { hub: Some(_) });
        self.line(view, || format!("{:>12} n{} -> {effect:?}", "", host + 1));
    }

    pub(crate) fn state(&mut self, digest: u64) {
        self.hasher.write_u64(digest);
    }

    fn line(&mut self, always: bool, line: impl FnOnce() -> String) {
        if self.print {
            println!("{}", line());
        } else if let Some(story) = &mut self.story {
            story.tell(line(), always);
        }
    }

    /// What has no hash of its own, by what is printed of it.
    fn text(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
        self.hasher.write(self.text.as_bytes());
    }

    fn words<const N: usize>(&mut self, words: [u64; N]) {
        for word in words {
            self.hasher.write_u64(word);
        }
    }
}
