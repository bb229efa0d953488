//! Messages to children, by name or by instance, from any node: at most once.

use core::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;

use super::Step;
use crate::calls::Call;
use crate::config::limits;
use crate::effect::Effect;
use crate::hub::Hub;
use crate::id::{ChildId, Member, NodeId, RequestId};
use crate::input::{CallKey, Queued};
use crate::message::{HubMessage, RowState};
use crate::registry::{Key, ME, Row};
use crate::request::{CallError, Reply, Target};
use crate::spec::Role;

/// How long a cast waits for its child to come up before it is dropped.
const CAST_PATIENCE: Duration = Duration::from_secs(5);

impl Hub {
    pub(super) fn call(&mut self, step: &mut Step<'_>, id: RequestId, to: Target, payload: Bytes, timeout: Duration) {
        self.accept_call(step, id, to, payload, true, timeout);
    }

    pub(super) fn cast(&mut self, step: &mut Step<'_>, id: RequestId, to: Target, payload: Bytes) {
        self.accept_call(step, id, to, payload, false, CAST_PATIENCE);
    }

    fn accept_call(
        &mut self,
        step: &mut Step<'_>,
        caller: RequestId,
        to: Target,
        payload: Bytes,
        reply: bool,
        timeout: Duration,
    ) {
        let len = payload.len();
        let (child, pid) = match to {
            Target::Child(child) => (child, None),
            Target::Pid(child, pid) => (child, Some(pid)),
        };
        let key = Key::new(&child);
        let deadline = step.now + timeout;
        let call = Call { caller: Some(caller), key, pid, payload, reply, deadline, sent: None };
        if len > limits::PAYLOAD {
            return Self::answer_call(step, &call, Err(CallError::TooLarge { len, limit: limits::PAYLOAD }));
        }
        if self.quorum.locked {
            return Self::answer_call(step, &call, Err(CallError::Locked(self.config.id.clone())));
        }
        if self.open_requests() >= limits::OPEN_REQUESTS {
            return Self::answer_call(step, &call, Err(CallError::Overloaded(child)));
        }
        let number = self.calls.number();
        self.calls.insert(number, call);
        self.dispatch(step, number);
    }

    /// Hands a message to the copy that serves, or lets it wait for one.
    fn dispatch(&mut self, step: &mut Step<'_>, number: u64) {
        let Some(call) = self.calls.get(number) else { return };
        let key = call.key.clone();
        let record = self.registry.record(&key);
        let rows = record.map_or(&[][..], |record| record.rows());
        let serves = |row: &&Row| {
            row.state == RowState::Running
                && self.registry.is_visible(row.host)
                && match &call.pid {
                    Some(pid) => *pid == self.registry.pid(row),
                    None => row.role == Role::Active,
                }
                && call.sent.as_ref().is_none_or(|(to, sequence, token)| {
                    (*sequence, *token) != (row.sequence, row.token) || *to != self.registry.host(row.host).member
                })
        };
        let Some(row) = rows.iter().filter(serves).min_by_key(|row| (row.role, row.host != ME)) else {
            let declared = call.pid.is_none() && record.is_some_and(|record| record.is_declared());
            return self.let_wait(step, &key, number, declared);
        };
        let (host, sequence, token) = (row.host, row.sequence, row.token);
        let to = self.registry.host(host).member.clone();
        let (reply, payload) = (call.reply, call.payload.clone());
        if let Some(call) = self.calls.get_mut(number) {
            call.sent = Some((to.clone(), sequence, token));
        }
        if host == ME {
            let call = reply.then_some(CallKey { caller: to, number });
            match self.deliver(step, &key.id, sequence, Queued { call, payload }) {
                Ok(()) => {}
                Err(CallError::NotFound(_)) => return self.dispatch(step, number),
                Err(error) => {
                    if let Some(call) = self.calls.remove(number) {
                        Self::answer_call(step, &call, Err(error));
                    }
                    return;
                }
            }
        } else {
            let body = HubMessage::Call { number, id: key.id, sequence, reply, payload };
            self.send(step, &to, body);
        }
        if !reply && let Some(call) = self.calls.remove(number) {
            Self::answer_call(step, &call, Ok(Bytes::new()));
        }
    }

    fn let_wait(&mut self, step: &mut Step<'_>, key: &Key, number: u64, declared: bool) {
        let error = if !declared {
            CallError::NotFound(key.id.clone())
        } else if self.calls.wait(key, number) {
            return;
        } else {
            CallError::Overloaded(key.id.clone())
        };
        if let Some(call) = self.calls.remove(number) {
            Self::answer_call(step, &call, Err(error));
        }
    }

    /// A copy is up: what has waited for one goes to it, in order.
    pub(super) fn retry_waiting(&mut self, step: &mut Step<'_>, key: &Key) {
        for number in self.calls.take_waiting(key) {
            self.dispatch(step, number);
        }
    }

    /// The child is not declared any more: what has waited for it is refused.
    pub(super) fn refuse_waiting(&mut self, step: &mut Step<'_>, key: &Key) {
        for number in self.calls.take_waiting(key) {
            if let Some(call) = self.calls.remove(number) {
                Self::answer_call(step, &call, Err(CallError::NotFound(key.id.clone())));
            }
        }
    }

    /// Hands a message to an instance of this node, or keeps it for one that is about to be given away.
    fn deliver(&mut self, step: &mut Step<'_>, id: &ChildId, sequence: u64, message: Queued) -> Result<(), CallError> {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::SnapshotBeforeFreeze) {
            self.hand(step, id, sequence, message);
            return Ok(());
        }
        let Some(source) = self.migrations.source_mut(sequence) else {
            self.hand(step, id, sequence, message);
            return Ok(());
        };
        if !source.is_buffering() {
            return Err(CallError::NotFound(id.clone()));
        }
        if source.buffer(message) { Ok(()) } else { Err(CallError::Overloaded(id.clone())) }
    }

    pub(super) fn hand(&mut self, step: &mut Step<'_>, id: &ChildId, sequence: u64, message: Queued) {
        let Queued { call, payload } = message;
        if let Some(call) = &call {
            self.calls.delivered(sequence, call.clone());
        }
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::DeliverTwice) {
            let (hub, call, payload) = (self.config.id.clone(), call.clone(), payload.clone());
            step.fx.push(Effect::Deliver { hub, id: id.clone(), sequence, call, payload });
        }
        step.fx.push(Effect::Deliver { hub: self.config.id.clone(), id: id.clone(), sequence, call, payload });
    }

    /// A message that a copy of this node has not handled, nor will: its caller is told so and sends it on; a cast has no
    /// caller that waits, so this node does.
    pub(super) fn bounce(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, message: Queued) {
        let Queued { call, payload } = message;
        match call {
            Some(call) if self.is_me(&call.caller.node) => {
                let me = self.me.clone();
                self.call_answered(step, &me, call.number, Err(CallError::NotFound(key.id.clone())));
            }
            Some(call) => self.route_reply(step, &call, Err(CallError::NotFound(key.id.clone()))),
            None if self.open_requests() >= limits::OPEN_REQUESTS => {}
            None => {
                let token = self.registry.record(key).and_then(|record| record.mine()).map_or(0, |row| row.token);
                let sent = Some((self.me.clone(), sequence, token));
                let (key, deadline) = (key.clone(), step.now + CAST_PATIENCE);
                let number = self.calls.number();
                let call = Call { caller: None, key, pid: None, payload, reply: false, deadline, sent };
                self.calls.insert(number, call);
                self.dispatch(step, number);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn call_arrived(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        number: u64,
        id: &ChildId,
        sequence: u64,
        reply: bool,
        payload: Bytes,
    ) {
        if !self.calls.is_first(from, number) {
            return;
        }
        let running = self.supervisor.get(sequence).is_some_and(|local| local.key.id == *id && local.stop.is_none());
        let up = |row: &Row| row.sequence == sequence && row.state == RowState::Running;
        if running && self.registry.record(&Key::new(id)).and_then(|record| record.mine()).is_some_and(up) {
            let call = reply.then_some(CallKey { caller: from.clone(), number });
            let delivered = self.deliver(step, id, sequence, Queued { call, payload });
            if let Some(error) = delivered.err().filter(|_| reply) {
                self.send(step, from, HubMessage::CallReply { number, reply: Err(error) });
            }
        } else if reply {
            let reply = Err(CallError::NotFound(id.clone()));
            self.send(step, from, HubMessage::CallReply { number, reply });
        }
    }

    pub(super) fn call_answered(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        number: u64,
        reply: Result<Bytes, CallError>,
    ) {
        let asked = |call: &Call| call.sent.as_ref().is_some_and(|(to, ..)| to == from);
        let Some(call) = self.calls.get(number).filter(|call| asked(call)) else { return };
        // "Not here" says that it was not handled: it may go to the next copy. It goes under another number: a child that
        // has moved back may be where this one was seen before, and a number is taken once.
        if matches!(reply, Err(CallError::NotFound(_))) && call.pid.is_none() {
            if let Some(number) = self.calls.renumber(number) {
                self.dispatch(step, number);
            }
            return;
        }
        if let Some(call) = self.calls.remove(number) {
            Self::answer_call(step, &call, reply);
        }
    }

    pub(super) fn child_replied(
        &mut self,
        step: &mut Step<'_>,
        sequence: u64,
        call: CallKey,
        reply: Result<Bytes, SmolStr>,
    ) {
        if !self.calls.answered(sequence, &call) {
            return;
        }
        let Some(id) = self.supervisor.get(sequence).map(|local| local.key.id.clone()) else { return };
        let reply = match reply {
            Ok(bytes) if bytes.len() > limits::PAYLOAD => {
                Err(CallError::TooLarge { len: bytes.len(), limit: limits::PAYLOAD })
            }
            Ok(bytes) => Ok(bytes),
            Err(reason) => Err(CallError::Failed(id, super::bounded(reason))),
        };
        self.route_reply(step, &call, reply);
    }

    /// An instance has no room for a message.
    pub(super) fn child_refused(&mut self, step: &mut Step<'_>, sequence: u64, call: &CallKey) {
        if self.calls.answered(sequence, call)
            && let Some(id) = self.supervisor.get(sequence).map(|local| local.key.id.clone())
        {
            self.route_reply(step, call, Err(CallError::Overloaded(id)));
        }
    }

    /// An instance has ended with calls unanswered: whether it handled them is unknown.
    pub(super) fn answer_orphans(&mut self, step: &mut Step<'_>, sequence: u64, key: &Key) {
        while let Some(call) = self.calls.orphan(sequence) {
            self.route_reply(step, &call, Err(CallError::Gone(key.id.clone())));
        }
    }

    fn route_reply(&mut self, step: &mut Step<'_>, call: &CallKey, reply: Result<Bytes, CallError>) {
        if self.is_me(&call.caller.node) {
            if let Some(open) = self.calls.remove(call.number) {
                Self::answer_call(step, &open, reply);
            }
        } else if self.peers.get(&call.caller.node).is_some_and(|peer| peer.member == call.caller) {
            self.send(step, &call.caller, HubMessage::CallReply { number: call.number, reply });
        }
    }

    fn is_me(&self, node: &NodeId) -> bool {
        *node == self.me.node
    }

    pub(super) fn expire_call(&mut self, step: &mut Step<'_>, number: u64) {
        if let Some(call) = self.calls.remove(number) {
            let id = call.key.id.clone();
            Self::answer_call(step, &call, Err(CallError::Timeout(id)));
        }
    }

    pub(super) fn answer_call(step: &mut Step<'_>, call: &Call, reply: Result<Bytes, CallError>) {
        let reply = if call.reply { Reply::Call(reply) } else { Reply::Cast(reply.map(|_| ())) };
        if let Some(id) = call.caller {
            step.fx.push(Effect::Reply { id, reply });
        }
    }
}
