//! madsim's simulated TCP as a transport.

use std::io;

use madsim::net::{TcpListener, TcpStream};
use process_hub::core::id::Addr;
use process_hub::{ConnectError, Connection, Listener, Peer, Transport};

/// Simulated TCP; addresses are `IP:PORT`. A cut link refuses new connections here, as if nobody listened, and stalls
/// those that are open.
#[derive(Clone, Copy, Debug, Default)]
pub struct MadsimTcp;

/// Where simulated connections arrive.
#[derive(Debug)]
pub struct MadsimListener(TcpListener);

impl Transport for MadsimTcp {
    type Stream = TcpStream;
    type Incoming = TcpStream;
    type Listener = MadsimListener;

    async fn listen(&self, addr: &Addr) -> io::Result<MadsimListener> {
        TcpListener::bind(addr.as_str()).await.map(MadsimListener)
    }

    async fn connect(&self, addr: &Addr) -> Result<Connection<TcpStream>, ConnectError> {
        Ok(connection(TcpStream::connect(addr.as_str()).await?)?)
    }

    async fn establish(&self, incoming: TcpStream) -> io::Result<Connection<TcpStream>> {
        connection(incoming)
    }
}

impl Listener for MadsimListener {
    type Incoming = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Peer)> {
        let (stream, addr) = self.0.accept().await?;
        Ok((stream, Peer { addr: Addr::new(addr.to_string()), ip: Some(addr.ip()) }))
    }

    fn local_addr(&self) -> Addr {
        // A listener that is bound has an address.
        self.0.local_addr().map_or_else(|_| Addr::default(), |addr| Addr::new(addr.to_string()))
    }
}

fn connection(stream: TcpStream) -> io::Result<Connection<TcpStream>> {
    let addr = stream.peer_addr()?;
    let peer = Peer { addr: Addr::new(addr.to_string()), ip: Some(addr.ip()) };
    Ok(Connection { stream, peer, exporter: [0; 32] })
}
