//! What happens on the links, as inputs to the core.

use process_hub_core::id::Member;
use process_hub_core::{DialFailure, Input, Lane, LinkEvent, Message, Time};

use crate::driver::Driver;
use crate::session::{News, Opened};

impl Driver {
    pub(super) fn news(&mut self, now: Time, news: News) {
        match news {
            News::Opened(opened) => self.link_opened(now, opened),
            News::Messages { link, from, messages } => {
                // A link that was replaced or hung up may have had frames on their way.
                if self.links.is_open(link, &from) {
                    for message in messages {
                        let now = self.breathe();
                        self.handle(now, Input::Message { from: from.clone(), message });
                    }
                }
            }
            News::Drained { link, member } => {
                if self.links.is_open(link, &member) {
                    self.handle(now, Input::Link(LinkEvent::Drained { member }));
                }
            }
            News::Lost { link, member, why } => {
                if self.links.lost(link, &member) {
                    self.link_down(member, &why);
                    self.settle(now);
                }
            }
            News::Failed { addr, reason } => {
                self.handle(now, Input::Link(LinkEvent::Failed { addr, reason, node: None }));
            }
            News::NotListening => tracing::error!("no more links are accepted"),
        }
    }

    fn link_opened(&mut self, now: Time, opened: Opened) {
        let Opened { link, member, addr, known, dialled, outbox, keep } = opened;
        let kept = self.links.offer(link, &member, dialled.is_some(), &outbox);
        if !kept || keep.send(true).is_err() {
            self.links.lost(link, &member);
            if let Some(addr) = dialled {
                let (reason, node) = (DialFailure::Duplicate, Some(member.node));
                self.handle(now, Input::Link(LinkEvent::Failed { addr, reason, node }));
            }
            return;
        }
        self.shared.stats.links_up.one();
        tracing::info!(peer = %member, %addr, opened_by_us = dialled.is_some(), "link up");
        // The first frame tells the other end that the link was kept.
        self.links.send(&member, Lane::Probe, Message::Keepalive);
        self.handle(now, Input::Link(LinkEvent::Up { member, addr, dialled, known }));
    }

    /// Takes note of a link that is no more; the core hears of it after the present step.
    pub(super) fn link_down(&mut self, member: Member, why: &str) {
        self.shared.stats.links_down.one();
        tracing::info!(peer = %member, why, "link down");
        self.later.push(Input::Link(LinkEvent::Down { member }));
    }
}
