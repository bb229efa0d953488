//! One node is told anything at all: messages of any sort from anybody, true or forged, frames that are none, links that
//! come and go, callers, operators, children that end, timers early and late. It never panics, does no more in a step
//! than so small a world gives reason for, is not woken for ever, starts one instance of a child at a time and none that
//! was stopped, answers each request once and in time; and the same sequence has the same effects.

use std::time::Duration;

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::id::Member;
use process_hub_core::request::Request;
use process_hub_core::{ChildEvent, DialFailure, ExitReason, Input, LinkEvent, Time};

use parts::asked::LONGEST;
use parts::draw::{Draw, hub, name};
use parts::host::Host;

#[path = "parts/mod.rs"]
mod parts;

/// The most that happens in one run.
const MOST: usize = 250;
/// No clock of a machine gets there; beyond, times are all the same.
const LAST: Time = Time(1 << 62);

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let first = play(bytes).fingerprint();
    // In a quarter of the runs, which is as good as all of them and takes less time.
    if bytes.len().is_multiple_of(4) {
        assert_eq!(play(bytes).fingerprint(), first, "the same inputs have the same effects");
    }
}

/// What such a run has come to.
pub(crate) fn play(bytes: &[u8]) -> Host {
    let mut draw = Draw::new(bytes);
    let config = draw.config();
    let mut node = NodeConfig::new(name("n1"), "n1");
    node.labels = draw.labels();
    node.join = draw.some(|draw| draw.node().as_str().into());
    let mut host = Host::new(node, u64::from(draw.byte()));
    host.ask(Request::OpenHub(config.clone()));
    for _ in 0..MOST {
        if draw.is_empty() {
            break;
        }
        act(&mut draw, &mut host, &config);
        host.sent.clear();
        if let Some(hub) = host.node.hub(&hub()) {
            draw.show(hub.view_hash());
            draw.show(hub.registry().declared_digest());
            hub.local().for_each(|(_, sequence)| draw.show(sequence));
        }
    }
    host.quiet(LONGEST);
    assert_eq!(host.open_requests(), 0, "each request is answered by its deadline (S21)");
    host
}

fn act(draw: &mut Draw<'_>, host: &mut Host, config: &HubConfig) {
    let me = host.node.member().clone();
    match draw.below(20) {
        0 => host.step(Input::Tick),
        1..4 => host.run_to(host.node.next_timeout().unwrap_or(host.now).max(host.now)),
        4 => {
            let spans = [1, 10, 300, 2_000, 10_000, 3_600_000, 1 << 40].map(Duration::from_millis);
            let until = (host.now + draw.one(&spans)).min(LAST);
            host.run_to(until);
        }
        5..9 => {
            let message = draw.message(config, &me);
            host.step(Input::Message { from: someone(draw, host), message });
        }
        9 => {
            let bytes = draw.frame(config, &me).into();
            host.step(Input::Frame { from: someone(draw, host), bytes });
        }
        10 | 11 => {
            let member = draw.member();
            let addr = member.node.as_str().into();
            let known = draw.coin().then(|| draw.boot());
            host.step(Input::Link(LinkEvent::Up { member, addr, dialled: None, known }));
        }
        12 => {
            let member = someone(draw, host);
            let addr = member.node.as_str().into();
            let node = draw.coin().then(|| draw.node());
            let reasons = [DialFailure::Refused, DialFailure::Unreachable, DialFailure::Myself, DialFailure::Duplicate];
            let reason = draw.one(&reasons);
            let events = [
                LinkEvent::Down { member: member.clone() },
                LinkEvent::Failed { addr, reason, node },
                LinkEvent::Congested { member: member.clone() },
                LinkEvent::Drained { member },
            ];
            host.step(Input::Link(draw.one(&events)));
        }
        13 => {
            let request = draw.start(host);
            host.ask(request);
        }
        14 => {
            let request = draw.stop();
            host.ask(request);
        }
        15 => {
            let request = draw.other_request(host);
            host.ask(request);
        }
        16 | 17 => {
            let which = draw.below(host.due.len());
            let how = draw.byte();
            if let Some(due) = host.due.remove(which) {
                host.answer(due, how);
            }
        }
        18 => {
            let reasons =
                [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Killed, ExitReason::Error("no".into())];
            host.end(draw.byte(), draw.one(&reasons));
        }
        _ if draw.coin() => host.step(Input::Altering { hub: hub(), wanted: draw.coin() }),
        // Of an instance that there never was.
        _ => {
            let sequence = 1_000 + u64::from(draw.byte());
            let events = [ChildEvent::Started, ChildEvent::Exited { reason: ExitReason::Normal }];
            host.step(Input::Child { hub: hub(), sequence, event: draw.one(&events) });
        }
    }
}

/// A member that is known, or anybody; not of its own name, which no handshake lets in.
fn someone(draw: &mut Draw<'_>, host: &Host) -> Member {
    let known = host.node.members().into_iter().map(|info| info.member);
    let mut those: Vec<Member> = known.filter(|member| member.node != host.node.member().node).collect();
    if those.is_empty() || draw.below(8) == 0 {
        those = ["n2", "n3", "n4"].map(|node| Member { node: name(node), boot: draw.boot() }).to_vec();
    }
    draw.one(&those)
}
