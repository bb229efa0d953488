//! Messages to children: carried out at most once, and carried out if a caller was told so.

use std::collections::BTreeMap;

use process_hub_core::id::RequestId;
use process_hub_core::request::{Reply, Request};
use process_hub_core::{Effect, Input};

use super::seen::{Oracle, Seen, Verdict, kind};
use super::truth::Truth;
use crate::sim::HostId;

/// At most once: no operation is applied twice, and a call that was answered Ok was applied.
#[derive(Debug, Default)]
pub(super) struct AtMostOnce {
    applied: BTreeMap<u64, u32>,
    open: BTreeMap<(HostId, RequestId), u64>,
}

impl Oracle for AtMostOnce {
    fn id(&self) -> &'static str {
        "AMO"
    }

    fn wants(&self) -> u32 {
        kind::APPLIED | kind::INPUT | kind::EFFECT
    }

    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>) {
        match *seen {
            Seen::Applied { host, sequence, operation } => {
                verdict.checked();
                let times = self.applied.entry(operation).or_default();
                *times += 1;
                if *times > 1 {
                    let child = truth.instance(host, sequence).map(|instance| &instance.id);
                    verdict.fails(Some(host), child, format!("operation {operation} is applied {times} times"));
                }
            }
            Seen::Input { host, input: Input::Request { id, request: Request::Call { payload, .. } } } => {
                let operation = payload.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                self.open.insert((host, *id), operation);
            }
            Seen::Effect { host, effect: Effect::Reply { id, reply: Reply::Call(outcome) } } => {
                let Some(operation) = self.open.remove(&(host, *id)) else { return };
                if outcome.is_ok() && !self.applied.contains_key(&operation) {
                    verdict.fails(Some(host), None, format!("operation {operation} is answered and was never applied"));
                }
            }
            _ => {}
        }
    }
}
