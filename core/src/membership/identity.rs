//! Who a member is to the membership protocol: a life of a name, and how often that life had to rejoin.

use crate::id::{Addr, Boot, Member, NodeId};

/// The generation of a life that said goodbye. It wins over all others of that life, so nothing revives it.
const LEFT: u32 = u32::MAX;

/// An identity of the membership protocol. Generations are invisible outside: what others see is the [`Member`].
#[derive(Clone, Debug)]
pub(super) struct Id {
    pub(super) node: NodeId,
    pub(super) boot: Boot,
    /// Raised by a life that was declared down and comes back.
    pub(super) generation: u32,
    /// Not part of who it is.
    pub(super) addr: Addr,
}

impl Id {
    pub(super) fn new(member: &Member, addr: &Addr) -> Self {
        Self { node: member.node.clone(), boot: member.boot, generation: 0, addr: addr.clone() }
    }

    pub(super) fn member(&self) -> Member {
        Member { node: self.node.clone(), boot: self.boot }
    }

    /// The same life, gone for good.
    pub(super) fn departed(&self) -> Self {
        Self { generation: LEFT, ..self.clone() }
    }

    pub(super) fn has_left(&self) -> bool {
        self.generation == LEFT
    }

    /// The same life in its next generation, unless it has used them all.
    pub(super) fn next(&self) -> Option<Self> {
        let generation = self.generation.checked_add(1).filter(|next| *next != LEFT)?;
        Some(Self { generation, ..self.clone() })
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation && self.boot == other.boot && self.node == other.node
    }
}

impl Eq for Id {}

impl foca::Identity for Id {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        self.next()
    }

    fn addr(&self) -> NodeId {
        self.node.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.boot, self.generation) > (adversary.boot, adversary.generation)
    }
}
