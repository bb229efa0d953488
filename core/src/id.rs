//! Names and lives: who is who, and which of a name's lives is meant.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;

/// Why a text cannot serve as a name. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has no bytes.
    #[error("a {what} must not be empty: give it 1 to {limit} bytes of UTF-8")]
    Empty {
        /// Which name was wanted.
        what: &'static str,
        /// Its limit in bytes.
        limit: usize,
    },
    /// The text has too many bytes.
    #[error("a {what} is at most {limit} bytes long, this one has {len}: shorten it")]
    TooLong {
        /// Which name was wanted.
        what: &'static str,
        /// Its limit in bytes.
        limit: usize,
        /// The length that was given, in bytes.
        len: usize,
    },
    /// The text holds a control character.
    #[error("a {what} must not hold control characters: remove the one at byte {at}")]
    Control {
        /// Which name was wanted.
        what: &'static str,
        /// The byte at which the character stands.
        at: usize,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The most bytes such a name may have.
            pub const MAX_LEN: usize = $limit;

            /// Checks and takes `text`.
            ///
            /// # Errors
            /// When it is empty, longer than [`Self::MAX_LEN`] bytes, or holds a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check($what, $limit, text)?;
                Ok(Self(SmolStr::new(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = SmolStr::deserialize(from)?;
                check($what, $limit, &text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }
    };
}

fn check(what: &'static str, limit: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what, limit });
    }
    if text.len() > limit {
        return Err(IdError::TooLong { what, limit, len: text.len() });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(IdError::Control { what, at }),
        None => Ok(()),
    }
}

name!(
    /// The name of a node. It outlives the process; one life of it is a [`Boot`].
    NodeId, "node name", 128
);
name!(
    /// The name of a hub: one group of nodes and the children they share.
    HubId, "hub name", 128
);
name!(
    /// The name of a child, unique within its hub.
    ChildId, "child id", 256
);
name!(
    /// The name under which a node's program registered how to run a sort of child.
    Kind, "kind", 128
);

/// One life of a node name. A later life of the same name has the higher boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(pub u64);

impl Boot {
    /// The highest that a node can have: 2⁶² - 1. Membership refuses what a peer says of a higher one, so that no claim of a
    /// life can stand above all that its name may come to. A driver's boots, milliseconds since 1970 with 20 bits more,
    /// come to it in the year 2109.
    pub const MAX: Boot = Boot((1 << 62) - 1);
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node in one of its lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The name.
    pub node: NodeId,
    /// The life.
    pub boot: Boot,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.boot)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One running (or once running) instance of a child: printed as `node/boot/sequence`, never used twice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid {
    /// The node that runs it.
    pub node: NodeId,
    /// The life of that node in which it was started.
    pub boot: Boot,
    /// The how-manieth instance of that life it is.
    pub sequence: u64,
}

impl Pid {
    /// The member that started this instance.
    #[must_use]
    pub fn member(&self) -> Member {
        Member { node: self.node.clone(), boot: self.boot }
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.node, self.boot, self.sequence)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pid {
    type Err = PidError;
    fn from_str(text: &str) -> Result<Pid, PidError> {
        let (rest, sequence) = text.rsplit_once('/').ok_or(PidError)?;
        let (node, boot) = rest.rsplit_once('/').ok_or(PidError)?;
        Ok(Pid {
            node: NodeId::new(node).map_err(|_| PidError)?,
            boot: Boot(boot.parse().map_err(|_| PidError)?),
            sequence: sequence.parse().map_err(|_| PidError)?,
        })
    }
}

/// The text is no pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pid is written node/boot/sequence, such as n1/1763841600000/7")]
pub struct PidError;

/// The ownership token of an instance: a later owner of a child holds a greater one.
///
/// Under `Divergence` tokens are unique and grow along every chain of owners that knew of each other, and promise no
/// more: two sides of a partition may each hold one. Ordered by lineage, then counter, then node and boot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Raised only by an operator's reset of a quorum.
    pub lineage: u32,
    /// One hub-wide counter; an issuer takes one more than the highest it has seen.
    pub counter: u64,
    /// Who issued it.
    pub node: NodeId,
    /// In which life.
    pub boot: Boot,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.lineage, self.counter, self.node, self.boot)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a node can be reached: text such as `127.0.0.1:7401`, given meaning by the transport alone.
pub type Addr = SmolStr;

/// A caller's mark on a request, echoed in the reply. The driver must not use one twice while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);
