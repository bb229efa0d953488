//! Plain TCP as the hub's network. TLS will be a transport of its own, around this one.

use std::io;
use std::net::SocketAddr;

use process_hub::{ConnectError, Connection, Listener, Peer, Transport};
use process_hub_core::id::Addr;
use tokio::net::{TcpListener, TcpStream};

/// Plain TCP. Addresses are `HOST:PORT`; a host name is looked up on every connection anew.
///
/// What nodes say is authenticated when a link opens, and then neither hidden nor protected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

/// A listening socket.
#[derive(Debug)]
pub struct TcpIncoming {
    socket: TcpListener,
    local: Addr,
}

/// What a plain stream has in place of a channel binding.
const NO_EXPORTER: [u8; 32] = [0; 32];

impl Transport for Tcp {
    type Stream = TcpStream;
    type Incoming = (TcpStream, Peer);
    type Listener = TcpIncoming;

    async fn listen(&self, addr: &Addr) -> io::Result<TcpIncoming> {
        let socket = TcpListener::bind(addr.as_str()).await?;
        let local = text(socket.local_addr()?);
        Ok(TcpIncoming { socket, local })
    }

    async fn connect(&self, addr: &Addr) -> Result<Connection<TcpStream>, ConnectError> {
        let stream = TcpStream::connect(addr.as_str()).await?;
        let peer = stream.peer_addr()?;
        // Where nobody listens on a port that this machine also gives out, a socket can come to be connected to itself,
        // and would keep the port from the node that is to come back to it.
        if stream.local_addr()? == peer {
            return Err(ConnectError::Refused);
        }
        Ok(connection(stream, Peer { addr: text(peer), ip: Some(peer.ip().to_canonical()) })?)
    }

    async fn establish(&self, (stream, peer): (TcpStream, Peer)) -> io::Result<Connection<TcpStream>> {
        connection(stream, peer)
    }
}

impl Listener for TcpIncoming {
    type Incoming = (TcpStream, Peer);

    async fn accept(&mut self) -> io::Result<((TcpStream, Peer), Peer)> {
        let (stream, from) = self.socket.accept().await?;
        let peer = Peer { addr: text(from), ip: Some(from.ip().to_canonical()) };
        Ok(((stream, peer.clone()), peer))
    }

    fn local_addr(&self) -> Addr {
        self.local.clone()
    }
}

fn connection(stream: TcpStream, peer: Peer) -> io::Result<Connection<TcpStream>> {
    // Frames are small and awaited: none may wait for the next one.
    stream.set_nodelay(true)?;
    Ok(Connection { stream, peer, exporter: NO_EXPORTER })
}

fn text(addr: SocketAddr) -> Addr {
    Addr::new(addr.to_string())
}
