//! Children that are given away and take over: their mailboxes, their states, and what goes wrong with them.

use bytes::Bytes;
use process_hub_core::id::HubId;
use process_hub_core::{CallKey, ChildEvent, Queued, StateUse};

use super::dice::{Occasion, Oddity};
use super::event::{ChildStep, Event, HostId};
use super::host::{Arrival, Running, Stage};
use super::world::World;
use crate::oracles::seen::Seen;
use crate::oracles::truth::Key;

/// What a simulated child hands over: how much it has done in all, and which instance it is. The rest is filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SimState {
    pub(crate) value: u64,
    pub(crate) of: Key,
}

impl SimState {
    pub(crate) const LEN: usize = 28;

    pub(crate) fn encode(self, len: usize) -> Bytes {
        let mut bytes = self.value.to_le_bytes().to_vec();
        bytes.extend((self.of.0 as u64).to_le_bytes());
        bytes.extend(self.of.1.to_le_bytes());
        bytes.extend(self.of.2.to_le_bytes());
        bytes.resize(len.max(Self::LEN), 0x5a);
        bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| bytes.get(at..at + 8)?.first_chunk().map(|word| u64::from_le_bytes(*word));
        let life = bytes.get(16..20)?.first_chunk().map(|word| u32::from_le_bytes(*word))?;
        Some(Self { value: word(0)?, of: (usize::try_from(word(8)?).ok()?, life, word(20)?) })
    }
}

impl World {
    fn up_child(&mut self, host: HostId, life: u32, sequence: u64) -> Option<&mut Running> {
        let this = self.hosts[host].life.as_mut().filter(|this| this.number == life)?;
        this.instances.get_mut(&sequence).filter(|running| running.stage == Stage::Up)
    }

    /// A message for an instance: it waits in its mailbox until its turn comes.
    pub(crate) fn deliver(
        &mut self,
        host: HostId,
        life: u32,
        hub: HubId,
        sequence: u64,
        call: Option<CallKey>,
        payload: Bytes,
    ) {
        let mailbox = self.mailbox;
        let Some(running) = self.up_child(host, life, sequence) else {
            let Some(call) = call else { return };
            let event = ChildEvent::Replied { call, reply: Err("no such instance runs".into()) };
            return self.defer(host, Arrival::Child { hub, sequence, event });
        };
        if running.mailbox.len() >= mailbox {
            self.count("mailbox_full");
            let Some(call) = call else { return };
            return self.defer(host, Arrival::Child { hub, sequence, event: ChildEvent::Refused { call } });
        }
        running.mailbox.push_back(Queued { call, payload });
        self.attend(host, life, sequence);
    }

    /// An instance takes the next message in hand, unless it has one, or may not.
    pub(crate) fn attend(&mut self, host: HostId, life: u32, sequence: u64) {
        let Some(running) = self.up_child(host, life, sequence) else { return };
        let may = !running.in_hand && running.taking.is_none() && !running.frozen && !running.standby;
        if may && !running.mailbox.is_empty() {
            running.in_hand = true;
            let takes = self.roll(Occasion::Handle, host, sequence).map_or(0, |mut roll| roll.span(5, 3_000));
            self.queue.push(self.now + takes, Event::Child { host, life, sequence, step: ChildStep::Handle });
        }
    }

    /// The message in hand is handled, and answered.
    pub(crate) fn handle_message(&mut self, host: HostId, life: u32, sequence: u64) {
        let Some(roll) = self.roll(Occasion::Call, host, sequence) else { return };
        let fails = self.dice.is_odd(&roll, Oddity::CallFails, self.child_faults.call_fails);
        let Some(this) = self.hosts[host].life.as_mut() else { return };
        let Some(running) = this.instances.get_mut(&sequence) else { return };
        running.in_hand = false;
        let Some(Queued { call, payload }) = running.mailbox.pop_front() else { return };
        running.value += 1;
        let (hub, value) = (running.hub.clone(), running.value);
        let operation = payload.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.tell(&Seen::Applied { host, sequence, operation });
        if let Some(call) = call {
            if fails {
                self.count("call_fails");
            }
            let reply =
                if fails { Err("told to fail".into()) } else { Ok(Bytes::copy_from_slice(&value.to_le_bytes())) };
            self.arrive(host, Arrival::Child { hub, sequence, event: ChildEvent::Replied { call, reply } });
        }
        self.attend(host, life, sequence);
    }

    /// An instance is asked for its state.
    pub(crate) fn take_state(&mut self, host: HostId, life: u32, sequence: u64, attempt: u32) {
        let faults = self.child_faults;
        let Some(mut roll) = self.roll(Occasion::Freeze, host, sequence) else { return };
        let hangs = self.dice.is_odd(&roll, Oddity::StateHangs, faults.state_hangs);
        let slow = self.dice.is_odd(&roll, Oddity::StateSlow, faults.state_slow);
        let takes = roll.span(20, if slow { 3_000_000 } else { 3_000 });
        let Some(running) = self.up_child(host, life, sequence) else { return };
        running.taking = Some(attempt);
        if hangs {
            return self.count("state_hangs");
        }
        if slow {
            self.count("state_slow");
        }
        let step = ChildStep::Prepared { attempt };
        self.queue.push(self.now + takes, Event::Child { host, life, sequence, step });
    }

    /// An instance has prepared its state, and handles nothing from here on.
    pub(crate) fn prepared(&mut self, host: HostId, life: u32, sequence: u64, attempt: u32) {
        let faults = self.child_faults;
        let Some(mut roll) = self.roll(Occasion::State, host, sequence) else { return };
        let refuses = self.dice.is_odd(&roll, Oddity::StateRefused, faults.state_refused);
        let big = self.dice.is_odd(&roll, Oddity::StateBig, faults.state_big);
        let len = if big { roll.span(300_000, 3_000_000) } else { roll.span(28, 2_000) };
        let Some(running) = self.up_child(host, life, sequence) else { return };
        if running.taking != Some(attempt) {
            return;
        }
        if running.in_hand {
            // After the message in hand.
            let step = ChildStep::Prepared { attempt };
            return self.queue.push(self.now + 100, Event::Child { host, life, sequence, step });
        }
        (running.taking, running.frozen) = (None, true);
        let queued: Vec<Queued> = running.mailbox.drain(..).collect();
        let (hub, state) = (running.hub.clone(), SimState { value: running.value, of: (host, life, sequence) });
        self.tell(&Seen::Frozen { host, sequence });
        if !queued.is_empty() {
            self.count("state_with_queue");
        }
        self.count(if refuses { "state_refused" } else { "state_taken" });
        if big {
            self.count("state_big");
        }
        let len = usize::try_from(len).unwrap_or(SimState::LEN);
        let state = if refuses { Err("told to refuse".into()) } else { Ok(state.encode(len)) };
        self.arrive(host, Arrival::Child { hub, sequence, event: ChildEvent::State { attempt, state, queued } });
    }

    /// An instance that stood by, or was frozen, serves.
    pub(crate) fn serve_child(&mut self, host: HostId, life: u32, sequence: u64) {
        let Some(running) = self.up_child(host, life, sequence) else { return };
        let served = !running.standby && !running.frozen && running.taking.is_none();
        (running.standby, running.frozen, running.taking) = (false, false, None);
        if !served {
            self.tell(&Seen::Serving { host, sequence });
        }
        self.attend(host, life, sequence);
    }

    /// An instance is given the state of another.
    pub(crate) fn give_state(&mut self, host: HostId, life: u32, sequence: u64, state: Bytes, why: &StateUse) {
        let Some(mut roll) = self.roll(Occasion::Give, host, sequence) else { return };
        let hangs = self.dice.is_odd(&roll, Oddity::TakeHangs, self.child_faults.take_hangs);
        let slow = self.dice.is_odd(&roll, Oddity::TakeSlow, self.child_faults.take_slow);
        let takes = roll.span(20, if slow { 5_000_000 } else { 5_000 });
        let Some(running) = self.up_child(host, life, sequence) else { return };
        running.given = Some((SimState::decode(&state), *why != StateUse::Handover));
        if hangs {
            return self.count("take_hangs");
        }
        if slow {
            self.count("take_slow");
        }
        self.queue.push(self.now + takes, Event::Child { host, life, sequence, step: ChildStep::Took });
    }

    /// An instance has taken a state over.
    pub(crate) fn took(&mut self, host: HostId, life: u32, sequence: u64) {
        let Some(roll) = self.roll(Occasion::Take, host, sequence) else { return };
        let refuses = self.dice.is_odd(&roll, Oddity::TakeRefused, self.child_faults.take_refused);
        let Some(running) = self.up_child(host, life, sequence) else { return };
        let Some((state, merge)) = running.given.take() else { return };
        let hub = running.hub.clone();
        let state = state.filter(|_| !refuses);
        if let Some(state) = state {
            running.value = if merge { running.value.max(state.value) } else { state.value };
            self.count(if merge { "state_merged" } else { "state_given" });
            self.tell(&Seen::Took { host, sequence, state, merge });
        } else {
            self.count("take_refused");
        }
        let result = if state.is_some() { Ok(()) } else { Err("told to refuse".into()) };
        self.arrive(host, Arrival::Child { hub, sequence, event: ChildEvent::StateTaken { result } });
    }
}
