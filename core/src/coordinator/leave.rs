//! This node goes away, or leaves one hub: it owns nothing any more, and its children end once the others know.

use alloc::vec::Vec;

use smol_str::SmolStr;

use super::Step;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::Member;
use crate::message::{HubMessage, Phase};
use crate::time::Time;

/// No deadline is later.
const END_OF_TIME: Time = Time(u64::MAX);

impl Hub {
    pub(super) fn leave(&mut self, step: &mut Step<'_>) {
        if self.phase == Phase::Leaving {
            return;
        }
        self.phase = Phase::Leaving;
        self.patience = None;
        self.hook(step, HookEvent::CoordinatorShutdown { reason: SmolStr::new_static("leaving") });
        self.outbox.phase(Phase::Leaving);
        self.refresh_view(step);
    }

    /// This node takes no part in the hub any more. Every caller that still waits is answered as if the time were over.
    pub(super) fn close(&mut self, step: &mut Step<'_>) {
        while let Some(number) = self.requests.next_expired(END_OF_TIME) {
            self.expire_request(step, number);
        }
        while let Some(number) = self.calls.next_expired(END_OF_TIME) {
            self.expire_call(step, number);
        }
        self.abandon_moves(step);
        // What a roll-back has undone just now goes ahead of the goodbye.
        self.flush(step);
        let members: Vec<Member> = self.peers.values().map(|peer| peer.member.clone()).collect();
        for member in members {
            self.send(step, &member, HubMessage::Bye);
        }
    }

    /// Nothing runs here any more, and the others have said that they know: they are told so once more. What they had sent
    /// to instances of this node has come before they said it, and is answered before they are told.
    pub(super) fn part(&mut self) {
        if self.phase == Phase::Leaving && !self.parted && self.is_empty_for_all() {
            self.parted = true;
            self.outbox.phase(Phase::Leaving);
        }
    }

    /// Whether this node has left: none of its instances is left, and the others have all its answers.
    pub(crate) fn has_left(&self) -> bool {
        let locked = self.phase == Phase::Leaving && self.quorum.locked && self.supervisor.is_empty();
        locked || (self.parted && self.is_empty_for_all())
    }

    /// Whether nothing runs here and nothing is left to tell or to be acknowledged.
    fn is_empty_for_all(&self) -> bool {
        let done = self.view.is_complete() && self.work.is_empty() && self.supervisor.is_empty();
        done && !self.has_something_to_tell() && self.in_flight() == 0
    }
}
