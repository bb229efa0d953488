//! How much one step may do: S26 and S27.

use process_hub_core::config::limits;
use process_hub_core::message::{Batch, HubMessage};
use process_hub_core::{Effect, Message};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;

/// S26: what one step emits, what one message lists, what is open, and what waits for a member or a child is bounded.
#[derive(Debug)]
pub(super) struct BoundedQueues;

/// The most effects that one child that is looked at can cause: a start or stop, hooks, a change, a reply.
const EFFECTS_A_CHILD: usize = 8;

fn longest(batch: &Batch) -> usize {
    let lists = [batch.starts.len(), batch.stops.len(), batch.rows.len(), batch.gone.len(), batch.failures.len()];
    lists.into_iter().max().unwrap_or(0).max(batch.origins.len())
}

impl Oracle for BoundedQueues {
    fn id(&self) -> &'static str {
        "S26"
    }

    fn wants(&self) -> u32 {
        kind::STEP | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Step { host, size } => {
                let bound = EFFECTS_A_CHILD * (limits::SLICE + size.input) + 64 * truth.hosts.len();
                verdict.checked();
                if size.effects > bound {
                    let text = format!("{} effects from one input of {} items", size.effects, size.input);
                    verdict.fails(Some(host), None, text);
                }
                let (bytes, messages) = size.waiting;
                if bytes > 2 * limits::WINDOW {
                    verdict.fails(Some(host), None, format!("{bytes} bytes to one member are not acknowledged"));
                }
                if messages > limits::WAITING_MESSAGES {
                    verdict.fails(Some(host), None, format!("{messages} messages wait for one child"));
                }
                if size.open > limits::OPEN_REQUESTS {
                    verdict.fails(Some(host), None, format!("{} requests are open", size.open));
                }
            }
            Seen::Effect { host, effect: Effect::Send { message, .. } } => {
                let (Message::Hub { body, .. } | Message::Relay { body, .. } | Message::Relayed { body, .. }) = message
                else {
                    return;
                };
                let list = match body {
                    HubMessage::Batch { batch, .. } => longest(batch),
                    HubMessage::Listing { dots, entries, origins, .. } => {
                        dots.len().max(entries.len()).max(origins.len())
                    }
                    HubMessage::Digests { buckets, .. } => buckets.len(),
                    _ => 0,
                };
                if list > limits::BATCH {
                    verdict.fails(Some(host), None, format!("a message with a list of {list}"));
                }
            }
            _ => {}
        }
    }
}

/// S27: a node does not keep itself busy without time passing. (A panic is caught outside and counts as S27.)
#[derive(Debug)]
pub(super) struct NoLoop;

/// Steps within one and the same moment; large batches are sliced into a few, a loop makes any number.
const SPINS: u32 = 20_000;

impl Oracle for NoLoop {
    fn id(&self) -> &'static str {
        "S27"
    }

    fn wants(&self) -> u32 {
        kind::STEP
    }

    fn see(&mut self, seen: &Seen<'_>, _: &Truth, verdict: &mut Verdict<'_>) {
        let Seen::Step { host, size } = *seen else { return };
        verdict.checked();
        if size.spins == SPINS {
            verdict.fails(Some(host), None, format!("{SPINS} steps in one moment"));
        }
    }
}
