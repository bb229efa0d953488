//! Inputs, effects and messages in the few words that a reader needs.

use std::fmt::Write;

use process_hub_core::message::{HubMessage, Message};
use process_hub_core::request::{Reply, Request, StartOutcome, StopOutcome};
use process_hub_core::spec::Role;
use process_hub_core::{ChildEvent, Effect, Input};

use crate::history::{Act, What};

/// The most characters of one text.
const MOST: usize = 400;

/// As it is printed for debugging, cut where it becomes too long.
pub(crate) fn debugged(value: &dyn std::fmt::Debug) -> String {
    cut(format!("{value:?}"))
}

pub(crate) fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MOST) {
        text.truncate(at);
        text.push('…');
    }
    text
}

pub(crate) fn role(role: Role) -> String {
    match role {
        Role::Active => "active".to_owned(),
        Role::Passive => "passive".to_owned(),
    }
}

/// What an input is, in words. That of a message is told by [`message`].
pub(crate) fn input(input: &Input) -> (What, String) {
    match input {
        Input::Tick => (What::Tick, "tick".to_owned()),
        Input::Message { from, message } => (What::Message, format!("{} from {}", sort(message), from.node)),
        Input::Frame { from, bytes } => (What::Message, format!("frame of {} bytes from {}", bytes.len(), from.node)),
        Input::Link(event) => (What::Link, debugged(event)),
        Input::Request { id, request } => (What::Request, format!("request {}: {}", id.0, asked(request))),
        Input::Child { sequence, event, .. } => {
            let what = match event {
                ChildEvent::Started => What::Started,
                ChildEvent::StartFailed { .. } | ChildEvent::Exited { .. } => What::Ended,
                _ => What::Child,
            };
            (what, format!("instance {sequence}: {}", debugged(event)))
        }
        other => (What::Other, debugged(other)),
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Start { children, .. } => {
            let ids: Vec<_> = children.iter().map(|spec| spec.id.as_str()).collect();
            cut(format!("start {}", ids.join(" ")))
        }
        Request::Stop { ids, .. } => {
            let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
            cut(format!("stop {}", ids.join(" ")))
        }
        Request::Call { to, .. } => format!("call {}", to.id()),
        Request::Cast { to, .. } => format!("cast to {}", to.id()),
        Request::Restore { part, .. } => format!("restore {} children of {}", part.len(), part.by()),
        Request::OpenHub(config) => format!("open hub {}", config.id),
        Request::Leave { deadline } => format!("leave within {deadline:?}"),
        other => debugged(other),
    }
}

fn answered(reply: &Reply) -> String {
    match reply {
        Reply::Start(Ok(StartOutcome::Done(result))) => {
            let started: Vec<_> = result.cids().map(|id| id.as_str()).collect();
            let mut text = format!("started {}", started.join(" "));
            for failure in result.errors() {
                // Writing to a String cannot fail.
                let _ = write!(text, "; {} not: {}", failure.id, failure.reason);
            }
            cut(text)
        }
        Reply::Stop(Ok(StopOutcome::Done(result))) => {
            let stopped: Vec<_> = result.cids().map(|id| id.as_str()).collect();
            cut(format!("stopped {}", stopped.join(" ")))
        }
        other => debugged(other),
    }
}

/// What an effect is, in words; none for those that are told in other ways.
pub(crate) fn effect(effect: &Effect) -> Option<Act> {
    Some(match effect {
        Effect::Send { .. } | Effect::RegistryChanged { .. } | Effect::ViewChanged { .. } => return None,
        Effect::Start { spec, pid, token, role: part, standby, .. } => Act::Start {
            child: spec.id.as_str().to_owned(),
            seq: pid.sequence,
            role: if *standby { "standby".to_owned() } else { role(*part) },
            token: token.to_string(),
        },
        Effect::Stop { id, sequence, why, .. } => {
            Act::Stop { child: id.as_str().to_owned(), seq: *sequence, why: format!("{why:?}").to_lowercase() }
        }
        Effect::SetRole { id, sequence, role: part, token, .. } => {
            Act::Role { child: id.as_str().to_owned(), seq: *sequence, role: role(*part), token: token.to_string() }
        }
        // Only children of which one copy is to run are frozen, or stand by.
        Effect::Serve { id, sequence, token, .. } => Act::Role {
            child: id.as_str().to_owned(),
            seq: *sequence,
            role: role(Role::Active),
            token: token.to_string(),
        },
        Effect::TakeState { id, sequence, .. } => {
            Act::Role { child: id.as_str().to_owned(), seq: *sequence, role: "frozen".to_owned(), token: String::new() }
        }
        Effect::Reply { id, reply } => Act::Reply { text: format!("request {}: {}", id.0, answered(reply)) },
        Effect::Hook { event, .. } => Act::Hook { text: debugged(event) },
        Effect::Deliver { id, sequence, call, .. } => {
            let what = if call.is_some() { "a call" } else { "a cast" };
            Act::Other { text: format!("deliver {what} to {id}, instance {sequence}") }
        }
        other => Act::Other { text: debugged(other) },
    })
}

/// The sort of a message: its name in the alphabet, as words.
pub(crate) fn sort(message: &Message) -> String {
    match message {
        Message::Hub { body, .. } => hub_sort(body),
        other => spoken(&format!("{other:?}")),
    }
}

fn hub_sort(body: &HubMessage) -> String {
    spoken(&format!("{body:?}"))
}

/// The name that a text printed for debugging begins with, in small letters: `BatchAck { .. }` is `batch ack`.
fn spoken(debugged: &str) -> String {
    let name = debugged.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut words = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// Whether a message only keeps links and membership alive.
pub(crate) fn is_chatter(message: &Message) -> bool {
    matches!(message, Message::Keepalive | Message::Swim(_))
}

/// A message in words.
pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::Keepalive => String::new(),
        Message::Swim(bytes) => format!("{} bytes", bytes.len()),
        Message::Hub { body, .. } => debugged(body),
        Message::Relay { to, body, .. } => cut(format!("to {to}: {} {body:?}", hub_sort(body))),
        Message::Relayed { origin, body, .. } => cut(format!("of {origin}: {} {body:?}", hub_sort(body))),
        other => debugged(other),
    }
}
