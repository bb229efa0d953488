//! The bytes of a membership datagram. Everything is checked in place before room is made for anything.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::{Buf, BufMut};
use foca::{Header, Message, State};
use smol_str::SmolStr;

use super::identity::Id;
use crate::id::{Boot, NodeId};

/// The largest datagram that is made or taken, in bytes.
pub(super) const LARGEST: usize = 60_000;

const ADDR: usize = 256;
/// The tag of the message that ends an indirect probe.
const FORWARDED_ACK: u8 = 5;

/// The bytes are no datagram, or there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed membership datagram")
    }
}

impl core::error::Error for Malformed {}

/// An identity as it lies in a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawId<'a> {
    pub(super) node: &'a str,
    pub(super) boot: Boot,
    pub(super) generation: u32,
    addr: &'a str,
}

impl RawId<'_> {
    pub(super) fn id(&self) -> Result<Id, Malformed> {
        let node = NodeId::new(self.node).map_err(|_| Malformed)?;
        Ok(Id { node, boot: self.boot, generation: self.generation, addr: SmolStr::new(self.addr) })
    }
}

/// What a datagram says of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawUpdate<'a> {
    pub(super) id: RawId<'a>,
    incarnation: u16,
    pub(super) state: State,
}

/// A datagram whose sender and updates can be looked at before it is applied.
#[derive(Debug)]
pub(super) struct Datagram<'a> {
    bytes: &'a [u8],
    pub(super) sender: RawId<'a>,
    /// Whom the sender has just probed for the receiver, with success.
    pub(super) vouched: Option<RawId<'a>>,
    /// Where the count of updates lies.
    body: usize,
    count: u16,
}

impl<'a> Datagram<'a> {
    /// Checks all of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > LARGEST {
            return Err(Malformed);
        }
        let mut reader = Reader(bytes);
        let header = reader.header()?;
        let body = bytes.len() - reader.0.len();
        let count = if reader.0.is_empty() { 0 } else { u16::from_be_bytes(reader.array()?) };
        for _ in 0..count {
            reader.update()?;
        }
        if !reader.0.is_empty() {
            return Err(Malformed);
        }
        let RawMessage(tag, third, _) = header.message;
        let vouched = third.filter(|_| tag == FORWARDED_ACK);
        Ok(Self { bytes, sender: header.sender, vouched, body, count })
    }

    /// Its updates, each with the bytes it takes.
    pub(super) fn updates(&self) -> impl Iterator<Item = (Range<usize>, RawUpdate<'a>)> + use<'a> {
        let bytes = self.bytes;
        let mut reader = Reader(bytes.get(self.body + 2..).unwrap_or_default());
        (0..self.count).map_while(move |_| {
            let from = bytes.len() - reader.0.len();
            let update = reader.update().ok()?;
            Some((from..bytes.len() - reader.0.len(), update))
        })
    }

    /// The same datagram without the updates in `dropped`, which must be in order.
    pub(super) fn without(&self, dropped: &[Range<usize>]) -> Vec<u8> {
        let left = self.count.saturating_sub(u16::try_from(dropped.len()).unwrap_or(u16::MAX));
        let mut bytes = Vec::with_capacity(self.bytes.len());
        bytes.extend_from_slice(&self.bytes[..self.body]);
        bytes.put_u16(left);
        let mut from = self.body + 2;
        for range in dropped {
            bytes.extend_from_slice(&self.bytes[from..range.start]);
            from = range.end;
        }
        bytes.extend_from_slice(&self.bytes[from..]);
        bytes
    }
}

/// A datagram made here rather than by the protocol: `message` from `sender` to `to`, with at most one update.
pub(super) fn make(sender: &Id, to: &Id, message: Message<Id>, update: Option<foca::Member<Id>>) -> Vec<u8> {
    let header = Header { src: sender.clone(), src_incarnation: 0, dst: to.clone(), message };
    let mut bytes = Vec::new();
    put_header(&header, &mut bytes);
    if let Some(update) = update {
        bytes.put_u16(1);
        put_member(&update, &mut bytes);
    }
    bytes
}

/// How the protocol's library reads and writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec;

impl foca::Codec<Id> for Codec {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Id>, mut buf: impl BufMut) -> Result<(), Malformed> {
        let mentioned = mentioned(&header.message).map_or(0, |(id, _)| id_len(id) + 1);
        if buf.remaining_mut() < id_len(&header.src) + 2 + id_len(&header.dst) + 1 + 1 + mentioned {
            return Err(Malformed);
        }
        put_header(header, &mut buf);
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Id>, Malformed> {
        let chunk = buf.chunk();
        let mut reader = Reader(chunk);
        let header = reader.header()?;
        let taken = chunk.len() - reader.0.len();
        let header = Header {
            src: header.sender.id()?,
            src_incarnation: header.incarnation,
            dst: header.to.id()?,
            message: header.message.map(|id| id.id())?,
        };
        buf.advance(taken);
        Ok(header)
    }

    fn encode_member(&mut self, member: &foca::Member<Id>, mut buf: impl BufMut) -> Result<(), Malformed> {
        if buf.remaining_mut() < id_len(member.id()) + 3 {
            return Err(Malformed);
        }
        put_member(member, &mut buf);
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<foca::Member<Id>, Malformed> {
        let chunk = buf.chunk();
        let mut reader = Reader(chunk);
        let update = reader.update()?;
        let taken = chunk.len() - reader.0.len();
        let member = foca::Member::new(update.id.id()?, update.incarnation, update.state);
        buf.advance(taken);
        Ok(member)
    }
}

fn id_len(id: &Id) -> usize {
    1 + id.node.as_str().len() + 8 + 4 + 2 + id.addr.len()
}

fn put_id(id: &Id, buf: &mut impl BufMut) {
    // A name is at most 128 bytes long, and an address was checked when it came in.
    let node = id.node.as_str().as_bytes();
    buf.put_u8(u8::try_from(node.len()).unwrap_or(u8::MAX));
    buf.put_slice(node);
    buf.put_u64(id.boot.0);
    buf.put_u32(id.generation);
    buf.put_u16(u16::try_from(id.addr.len()).unwrap_or(u16::MAX));
    buf.put_slice(id.addr.as_bytes());
}

fn put_member(member: &foca::Member<Id>, buf: &mut impl BufMut) {
    put_id(member.id(), buf);
    buf.put_u16(member.incarnation());
    buf.put_u8(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

fn put_header(header: &Header<Id>, buf: &mut impl BufMut) {
    put_id(&header.src, buf);
    buf.put_u16(header.src_incarnation);
    put_id(&header.dst, buf);
    let (tag, number) = match &header.message {
        Message::Ping(number) => (0, Some(*number)),
        Message::Ack(number) => (1, Some(*number)),
        Message::PingReq { .. } => (2, None),
        Message::IndirectPing { .. } => (3, None),
        Message::IndirectAck { .. } => (4, None),
        Message::ForwardedAck { .. } => (FORWARDED_ACK, None),
        Message::Announce => (6, None),
        Message::Feed => (7, None),
        Message::Gossip => (8, None),
        Message::Broadcast => (9, None),
        Message::TurnUndead => (10, None),
    };
    buf.put_u8(tag);
    if let Some(number) = number {
        buf.put_u8(number);
    }
    if let Some((id, number)) = mentioned(&header.message) {
        put_id(id, buf);
        buf.put_u8(number);
    }
}

/// The third party of an indirect probe.
fn mentioned(message: &Message<Id>) -> Option<(&Id, u8)> {
    match message {
        Message::PingReq { target: id, probe_number }
        | Message::IndirectPing { origin: id, probe_number }
        | Message::IndirectAck { target: id, probe_number }
        | Message::ForwardedAck { origin: id, probe_number } => Some((id, *probe_number)),
        _ => None,
    }
}

struct RawHeader<'a> {
    sender: RawId<'a>,
    incarnation: u16,
    to: RawId<'a>,
    message: RawMessage<'a>,
}

/// Its tag, its third party if it has one, and its number.
struct RawMessage<'a>(u8, Option<RawId<'a>>, u8);

impl<'a> RawMessage<'a> {
    fn map(self, id: impl Fn(RawId<'a>) -> Result<Id, Malformed>) -> Result<Message<Id>, Malformed> {
        let RawMessage(tag, third, probe_number) = self;
        Ok(match (tag, third) {
            (0, _) => Message::Ping(probe_number),
            (1, _) => Message::Ack(probe_number),
            (2, Some(third)) => Message::PingReq { target: id(third)?, probe_number },
            (3, Some(third)) => Message::IndirectPing { origin: id(third)?, probe_number },
            (4, Some(third)) => Message::IndirectAck { target: id(third)?, probe_number },
            (FORWARDED_ACK, Some(third)) => Message::ForwardedAck { origin: id(third)?, probe_number },
            (6, _) => Message::Announce,
            (7, _) => Message::Feed,
            (8, _) => Message::Gossip,
            (9, _) => Message::Broadcast,
            (10, _) => Message::TurnUndead,
            _ => return Err(Malformed),
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn text(&mut self, len: usize, most: usize) -> Result<&'a str, Malformed> {
        if len == 0 || len > most {
            return Err(Malformed);
        }
        let text = core::str::from_utf8(self.take(len)?).map_err(|_| Malformed)?;
        if text.chars().any(char::is_control) { Err(Malformed) } else { Ok(text) }
    }

    fn id(&mut self) -> Result<RawId<'a>, Malformed> {
        let len = self.byte()?;
        let node = self.text(len.into(), NodeId::MAX_LEN)?;
        let boot = Boot(u64::from_be_bytes(self.array()?));
        if boot > Boot::MAX {
            return Err(Malformed);
        }
        let generation = u32::from_be_bytes(self.array()?);
        let len = u16::from_be_bytes(self.array()?);
        let addr = self.text(len.into(), ADDR)?;
        Ok(RawId { node, boot, generation, addr })
    }

    fn header(&mut self) -> Result<RawHeader<'a>, Malformed> {
        let sender = self.id()?;
        let incarnation = u16::from_be_bytes(self.array()?);
        let to = self.id()?;
        let tag = self.byte()?;
        let message = match tag {
            0 | 1 => RawMessage(tag, None, self.byte()?),
            2..=5 => {
                let third = self.id()?;
                RawMessage(tag, Some(third), self.byte()?)
            }
            6..=10 => RawMessage(tag, None, 0),
            _ => return Err(Malformed),
        };
        Ok(RawHeader { sender, incarnation, to, message })
    }

    fn update(&mut self) -> Result<RawUpdate<'a>, Malformed> {
        let id = self.id()?;
        let incarnation = u16::from_be_bytes(self.array()?);
        let state = match self.byte()? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(Malformed),
        };
        Ok(RawUpdate { id, incarnation, state })
    }
}
