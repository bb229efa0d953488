//! What the hub needs of a network: streams of bytes in both directions, and nothing about what is in them.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;

use process_hub_core::id::Addr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A way to open streams to other nodes. Framing, authentication, queues and limits lie above it, in this crate.
pub trait Transport: Send + Sync + 'static {
    /// A stream of bytes in both directions, secured already if this transport secures any.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A connection that was accepted and on which nothing was read or written yet.
    type Incoming: Send + 'static;
    /// Where connections arrive.
    type Listener: Listener<Incoming = Self::Incoming>;

    /// Begins to accept connections at `addr`, in this transport's own notation.
    ///
    /// # Errors
    /// When the address makes no sense or is taken.
    fn listen(&self, addr: &Addr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Opens a stream to `addr` and secures it. The caller limits the time.
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing is left open.
    fn connect(&self, addr: &Addr) -> impl Future<Output = Result<Connection<Self::Stream>, ConnectError>> + Send;

    /// Makes a stream of an accepted connection: where a transport has a security layer, its handshake happens here,
    /// after the limits on strangers were applied. The caller limits the time.
    ///
    /// # Errors
    /// When the other end cannot be secured; it is closed then.
    fn establish(&self, incoming: Self::Incoming) -> impl Future<Output = io::Result<Connection<Self::Stream>>> + Send;
}

/// Where connections arrive.
pub trait Listener: Send + 'static {
    /// What arrives.
    type Incoming: Send + 'static;

    /// The next connection. Must return quickly: whatever takes time belongs into [`Transport::establish`].
    ///
    /// # Errors
    /// When none could be accepted just now (out of descriptors, say). The caller waits a little and tries again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Incoming, Peer)>> + Send;

    /// Where it really listens: the port is filled in if none was named.
    fn local_addr(&self) -> Addr;
}

/// An open stream, and what is known of it.
#[derive(Debug)]
pub struct Connection<S> {
    /// The stream.
    pub stream: S,
    /// Who is at the other end, as the network sees it.
    pub peer: Peer,
    /// 32 bytes that both ends of this one stream know and nobody between can choose (RFC 9266 under TLS); zeros on a
    /// stream without such a thing.
    pub exporter: [u8; 32],
}

/// The other end of a connection, as the network sees it: for limits and logs, never for identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As text.
    pub addr: Addr,
    /// Its IP address, where it has one: limits are counted by it.
    pub ip: Option<IpAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addr)
    }
}

/// A connection could not be opened. Nothing is left open.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host answered that nobody listens there.
    #[error("the host refused the connection: is a node running there?")]
    Refused,
    /// No answer, or no way there.
    #[error("no answer from there: check the address and the network")]
    Unreachable,
    /// Anything else: a bad address, a failed security handshake.
    #[error("{0}")]
    Other(#[source] io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => ConnectError::Refused,
            Kind::TimedOut | Kind::HostUnreachable | Kind::NetworkUnreachable => ConnectError::Unreachable,
            _ => ConnectError::Other(error),
        }
    }
}
