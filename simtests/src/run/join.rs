//! L9: whatever has happened, a child can be started and a new node can join.

use std::time::Duration;

use process_hub_core::Hub;
use process_hub_core::config::{Distribution, Partition};
use process_hub_core::id::RequestId;
use process_hub_core::request::{Reply, Request, StartOptions, StartOutcome, Status};

use super::{PROBE, Run};
use crate::client::child_id;
use crate::decisions::{Declared, Restarts};
use crate::oracles::seen::Seen;
use crate::sim::HostId;
use crate::sim::world::node_name;

/// The child that is started; no caller starts it before.
const NEW_CHILD: usize = 1_000;

impl Run {
    /// Has a child started on a node of the core, and a node join that nobody has heard of, and looks what came of it. Where
    /// the core is locked there is nothing to ask for.
    pub(super) fn join(&mut self, core: &[HostId]) {
        let Some(first) = core.first().copied() else { return };
        let serves = |host: &HostId| self.world.hub(*host).is_some_and(|hub| !hub.is_locked());
        if self.failed() || !core.iter().all(serves) || !self.has_room() {
            return;
        }
        // Things happen again.
        self.world.tell(&Seen::Healed { core });
        let bound = self.bounds().converge;
        let request = self.start_new_child(first, core, Duration::from_micros(bound));
        self.run_until(self.world.now + PROBE);
        let newcomer = self.world.add_host(core);
        let all = [core, &[newcomer]].concat();
        self.world.tell(&Seen::Healed { core: &all });
        self.world.boot(newcomer, false);
        let until = self.world.now + bound + PROBE;
        let mut lacks = Some(String::new());
        while lacks.is_some() && self.world.now < until && !self.failed() {
            self.run_until(self.world.now + PROBE);
            self.world.tell(&Seen::Probe);
            lacks = self.refused(first, request);
            if lacks.is_none() && !self.has_converged(&all) {
                lacks = Some("not all agree with a new node".to_owned());
            }
        }
        if !self.failed() {
            self.world.tell(&Seen::Joined { host: newcomer, lacks: lacks.as_deref() });
        }
    }

    fn start_new_child(&mut self, at: HostId, core: &[HostId], timeout: Duration) -> RequestId {
        self.world.keep_replies = true;
        let guided = self.world.config.hub.distribution == Distribution::Guided;
        let copies = self.world.hub(at).map_or(1, Hub::copies);
        let others = (0..).filter(|host| !core.contains(host));
        let nodes = core.iter().copied().chain(others).take(copies).map(node_name).collect();
        let child_mapping = guided.then(|| [(child_id(NEW_CHILD), nodes)].into_iter().collect());
        let options = StartOptions { timeout, child_mapping, ..StartOptions::default() };
        let declared = Declared { child: NEW_CHILD, version: u64::MAX, restart: Restarts::Permanent, tagged: false };
        let hub = self.world.config.hub.id.clone();
        self.world.request(at, Request::Start { hub, children: vec![declared.spec()], options })
    }

    /// Why a start has not been answered well, if so.
    fn refused(&self, host: HostId, request: RequestId) -> Option<String> {
        match self.world.replies.get(&(host, request)) {
            None => Some("the start of a child is not answered".to_owned()),
            Some(Reply::Start(Ok(StartOutcome::Done(result)))) if result.status == Status::Ok => None,
            Some(other) => Some(format!("the start of a child is answered with {other:?}")),
        }
    }

    /// Whether a cluster with a quorum of a certain size admits one name more: beyond, two parts of it could both have one.
    fn has_room(&self) -> bool {
        let names = self.setup.nodes + 1;
        match self.world.config.hub.partition {
            Partition::StaticQuorum { .. } => names < 2 * self.bounds().quorum,
            Partition::MajorityQuorum { initial_cluster_size, track_max_size: false } => {
                names <= initial_cluster_size as usize
            }
            _ => true,
        }
    }
}
