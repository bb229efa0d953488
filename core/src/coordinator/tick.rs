//! Time has passed.

use alloc::vec::Vec;
use core::time::Duration;

use super::Step;
use crate::gossip::choose;
use crate::hub::Hub;
use crate::id::NodeId;

/// What members compare after at the least.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

impl Hub {
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        #[cfg(feature = "sabotage")]
        self.talk_too_much(step);
        self.expire_quorum(step);
        self.expire_view(step);
        self.sync(step);
        self.ask_for_load(step);
        self.pulls.expire(step.now);
        let due: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.deadline().is_some_and(|deadline| deadline <= step.now))
            .map(|(node, _)| node.clone())
            .collect();
        for node in due {
            if self.peers.get(&node).is_some_and(|peer| peer.is_accepted()) {
                self.expire_stream(step, &node);
            } else {
                self.say_hello(step, &node, true);
            }
        }
        self.expire_alters(step);
        let (sources, takers) = self.migrations.due(step.now);
        sources.into_iter().for_each(|sequence| self.expire_source(step, sequence));
        takers.into_iter().for_each(|sequence| self.expire_taker(step, sequence));
        while let Some(number) = self.requests.next_expired(step.now) {
            self.expire_request(step, number);
        }
        while let Some(number) = self.calls.next_expired(step.now) {
            self.expire_call(step, number);
        }
        while let Some(key) = self.supervisor.next_due(step.now) {
            self.reconcile(step, &key);
        }
    }

    /// Once an interval, what was declared is compared with every member, or under gossip with some.
    fn sync(&mut self, step: &mut Step<'_>) {
        if step.now < self.sync_at {
            return;
        }
        // A strategy of one's own that has changed its mind must not have members compare without a pause.
        let sync_interval = self.config.synchronization.sync_interval().max(SHORTEST_INTERVAL);
        self.sync_at = step.now + sync_interval;
        #[cfg(feature = "sabotage")]
        self.compare_wrongly(step);
        let accepted = self.peers.iter().filter(|(_, peer)| peer.is_accepted()).map(|(node, _)| (node.clone(), ()));
        let most = self.config.synchronization.recipients().unwrap_or(usize::MAX);
        for (node, ()) in choose(accepted.collect(), &self.me.node, step.now.0, most) {
            self.pulls.want(&node);
        }
        self.compact();
        self.forget_former(step.now);
        self.supervisor.prune(step.now, self.config.restart_window);
    }
}
