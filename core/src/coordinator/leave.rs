//! This node goes away: it owns nothing any more, and its children end once the others know.

use smol_str::SmolStr;

use super::Step;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::message::Phase;

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

    /// Whether this node has left: none of its instances is left, and the others were told.
    pub(crate) fn has_left(&self) -> bool {
        let told = self.quorum.locked || (self.view.is_complete() && self.work.is_empty());
        self.phase == Phase::Leaving && self.supervisor.is_empty() && told
    }
}
