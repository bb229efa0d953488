//! Every oracle fires on a bad trace made by hand, and not on the same trace without the defect.

mod after;
mod callers;
mod copies;
mod guided;
mod handover;
mod hooks;
mod quorum;
mod roles;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::hook::{HookEvent, StartedChild};
use process_hub_core::id::{Boot, ChildId, Member, NodeId, Pid, RequestId, Token};
use process_hub_core::message::Phase;
use process_hub_core::registry::{Lookup, Placement};
use process_hub_core::request::{Reply, Request, StartOptions, StartOutcome, StartResult, Status, StopOptions};
use process_hub_core::spec::{ChildSpec, Restart, Role};
use process_hub_core::{ChildEvent, Effect, ExitReason, Input, StopReason};

use super::Watch;
use super::ledger::args;
use super::seen::{Census, Seen};
use super::truth::Bounds;
use crate::client::{child_id, counter};
use crate::plan::hub_id;
use crate::sim::HostId;

const SECOND: u64 = 1_000_000;

/// A trace made by hand, with the oracles that watch it.
struct Bench {
    watch: Watch,
    now: u64,
}

fn bounds() -> Bounds {
    Bounds {
        copies: 0,
        one_active: false,
        guided: false,
        by_recipe: false,
        delay: 1_000,
        overlap: SECOND,
        converge: 10 * SECOND,
        stop: SECOND,
        slack: SECOND,
        restart_window: 4 * SECOND,
        max_restarts: 3,
        restart_backoff: SECOND / 10,
        keepalive: SECOND / 2,
        probe: SECOND / 3,
        sync: SECOND,
        lease: 0,
        quorum: 0,
        mutex: false,
        cold: true,
        hot: false,
        hands_over: false,
        overlaps: false,
        keeps: 0,
        autonomous: false,
    }
}

fn member(host: HostId) -> Member {
    lived(host, 1)
}

fn lived(host: HostId, boot: u64) -> Member {
    Member { node: name(host), boot: Boot(boot) }
}

fn name(host: HostId) -> NodeId {
    crate::sim::world::node_name(host)
}

fn child() -> ChildId {
    child_id(1)
}

fn pid(host: HostId, sequence: u64) -> Pid {
    Pid { node: name(host), boot: Boot(1), sequence }
}

fn spec(version: u64) -> ChildSpec {
    ChildSpec::new(child(), counter(), args(version))
}

fn row(version: u64, pids: &[Pid]) -> Lookup {
    let place = |pid: &Pid| Placement { pid: pid.clone(), role: Role::Active, token: token(pid) };
    Lookup { spec: Some(Arc::new(spec(version))), placements: pids.iter().map(place).collect() }
}

fn token(pid: &Pid) -> Token {
    Token { lineage: 0, counter: pid.sequence, node: pid.node.clone(), boot: pid.boot }
}

fn result(pids: &[Pid]) -> StartResult {
    StartResult { status: Status::Ok, started: vec![(child(), pids.to_vec())], errors: Vec::new(), rollback: false }
}

impl Bench {
    /// Hosts that are all up, in one view, and have been for long.
    fn settled(hosts: usize) -> Self {
        let mut bench = Self { watch: Watch::new(hosts, bounds()), now: 1 };
        for host in 0..hosts {
            bench.see(&Seen::Booted { host, member: &member(host), skewed: false });
        }
        for host in 0..hosts {
            bench.view(host, &(0..hosts).collect::<Vec<_>>());
        }
        bench.wait(5 * SECOND);
        bench
    }

    fn see(&mut self, seen: &Seen<'_>) {
        self.watch.see(self.now, seen);
    }

    fn wait(&mut self, span: u64) {
        self.now += span;
        self.see(&Seen::Probe);
    }

    fn view(&mut self, host: HostId, hosts: &[HostId]) {
        let view: Vec<_> = hosts.iter().copied().map(member).collect();
        let hash = hosts.iter().fold(7, |hash, host| hash * 31 + *host as u64);
        self.see(&Seen::View { host, member: &member(host), view: &view, hash, phase: Phase::Ready });
    }

    fn effect(&mut self, host: HostId, effect: &Effect) {
        self.see(&Seen::Effect { host, effect });
    }

    fn input(&mut self, host: HostId, input: &Input) {
        self.see(&Seen::Input { host, input });
    }

    fn start(&mut self, host: HostId, sequence: u64, version: u64) {
        self.start_with(host, sequence, version, Restart::Permanent);
    }

    fn start_with(&mut self, host: HostId, sequence: u64, version: u64, restart: Restart) {
        self.announce(host);
        self.give_out(host, sequence, version, restart);
    }

    /// A start is about to be given out.
    fn announce(&mut self, host: HostId) {
        let event = HookEvent::PreChildrenStart { children: vec![child()] };
        self.effect(host, &Effect::Hook { hub: hub_id(), event });
    }

    /// A start that was not announced.
    fn bare_start(&mut self, host: HostId, sequence: u64, version: u64) {
        self.give_out(host, sequence, version, Restart::Permanent);
    }

    fn give_out(&mut self, host: HostId, sequence: u64, version: u64, restart: Restart) {
        let (pid, spec) = (pid(host, sequence), Arc::new(spec(version).restart(restart)));
        let token = token(&pid);
        self.effect(host, &Effect::Start { hub: hub_id(), spec, pid, token, role: Role::Active, standby: false });
    }

    /// Starts an instance that comes up at once.
    fn run(&mut self, host: HostId, sequence: u64, version: u64) {
        self.start(host, sequence, version);
        self.see(&Seen::Serving { host, sequence });
        let started = StartedChild { id: child(), spec: None, outcome: Ok(pid(host, sequence)) };
        let event = HookEvent::PostChildrenStart { children: vec![started] };
        self.effect(host, &Effect::Hook { hub: hub_id(), event });
    }

    fn stop(&mut self, host: HostId, sequence: u64) {
        let (why, deadline) = (StopReason::Stopped, Duration::from_secs(1));
        self.effect(host, &Effect::Stop { hub: hub_id(), id: child(), sequence, why, deadline });
    }

    fn exit(&mut self, host: HostId, sequence: u64, reason: ExitReason) {
        self.see(&Seen::Ended { host, sequence });
        self.input(host, &Input::Child { hub: hub_id(), sequence, event: ChildEvent::Exited { reason } });
    }

    fn show(&mut self, host: HostId, lookup: Option<&Lookup>, owner: HostId) {
        self.see(&Seen::Row { host, id: &child(), lookup, owners: &[name(owner)] });
    }

    fn ask_start(&mut self, host: HostId, id: u64, version: u64, wait: bool) {
        let options = StartOptions { wait, ..StartOptions::default() };
        let request = Request::Start { hub: hub_id(), children: vec![spec(version)], options };
        self.input(host, &Input::Request { id: RequestId(id), request });
    }

    fn ask_stop(&mut self, host: HostId, id: u64) {
        let request = Request::Stop { hub: hub_id(), ids: vec![child()], options: StopOptions::default() };
        self.input(host, &Input::Request { id: RequestId(id), request });
    }

    fn reply(&mut self, host: HostId, id: u64, reply: Reply) {
        self.effect(host, &Effect::Reply { id: RequestId(id), reply });
    }

    fn started(&mut self, host: HostId, id: u64, pids: &[Pid]) {
        self.reply(host, id, Reply::Start(Ok(StartOutcome::Done(result(pids)))));
    }

    /// All is over: what each host holds.
    fn converged(&mut self, censuses: &[Census]) {
        let core: Vec<_> = (0..censuses.len()).collect();
        self.see(&Seen::Healed { core: &core });
        for (host, census) in censuses.iter().enumerate() {
            self.see(&Seen::Census { host, census });
        }
        self.see(&Seen::Converged);
    }

    fn fired(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.watch.violations.iter().map(|violation| violation.oracle).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    #[track_caller]
    fn assert_fired(&self, oracle: &str) {
        assert!(self.fired().contains(&oracle), "{oracle} is silent; {:?}", self.watch.violations);
    }

    #[track_caller]
    fn assert_quiet(&self) {
        assert!(self.watch.violations.is_empty(), "{:?}", self.watch.violations);
    }
}

/// What a host holds that knows of the given rows of the one child.
fn census(rows: &[(u64, Pid)], owner: HostId, local: &[u64]) -> Census {
    Census {
        rows: rows
            .iter()
            .map(|(version, at)| (child(), row(*version, std::slice::from_ref(at)), vec![name(owner)]))
            .collect(),
        digest: rows.iter().map(|(version, _)| version).sum(),
        settled: true,
        locked: false,
        open: 0,
        moves: 0,
        local: local.iter().map(|sequence| (child(), *sequence)).collect(),
        size: Some(1_000),
    }
}

/// The list of oracles is complete: each has a test below that names it.
#[test]
fn each_oracle_has_a_test_that_it_fires() {
    let tests = [
        include_str!("after.rs"),
        include_str!("callers.rs"),
        include_str!("copies.rs"),
        include_str!("guided.rs"),
        include_str!("quorum.rs"),
        include_str!("roles.rs"),
        include_str!("handover.rs"),
        include_str!("hooks.rs"),
        include_str!("rows.rs"),
    ];
    for id in Watch::ids() {
        let names = format!("assert_fired(\"{id}\")");
        assert!(tests.iter().any(|text| text.contains(&names)), "{id} is never shown to fire");
    }
}
