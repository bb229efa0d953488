//! Streams in memory, between addresses that are any text.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use process_hub::core::id::Addr;
use process_hub::{ConnectError, Connection, Listener, Peer, Transport};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Who listens where.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Mutex<HashMap<Addr, mpsc::UnboundedSender<DuplexStream>>>>);

impl Network {
    /// A raw stream to whoever listens at `addr`.
    pub fn open(&self, addr: &str) -> Option<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        self.0.lock().unwrap().get(addr)?.send(theirs).ok()?;
        Some(ours)
    }
}

fn connection(stream: DuplexStream) -> Connection<DuplexStream> {
    Connection { stream, peer: Peer { addr: Addr::new("memory"), ip: None }, exporter: [0; 32] }
}

impl Transport for Network {
    type Stream = DuplexStream;
    type Incoming = DuplexStream;
    type Listener = MemoryListener;

    async fn listen(&self, addr: &Addr) -> io::Result<MemoryListener> {
        let (sender, incoming) = mpsc::unbounded_channel();
        let mut listeners = self.0.lock().unwrap();
        if listeners.get(addr).is_some_and(|sender| !sender.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        listeners.insert(addr.clone(), sender);
        Ok(MemoryListener { addr: addr.clone(), incoming })
    }

    async fn connect(&self, addr: &Addr) -> Result<Connection<DuplexStream>, ConnectError> {
        self.open(addr).map(connection).ok_or(ConnectError::Refused)
    }

    async fn establish(&self, incoming: DuplexStream) -> io::Result<Connection<DuplexStream>> {
        Ok(connection(incoming))
    }
}

#[derive(Debug)]
pub struct MemoryListener {
    addr: Addr,
    incoming: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Listener for MemoryListener {
    type Incoming = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        let stream = self.incoming.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((stream, Peer { addr: Addr::new("memory"), ip: None }))
    }

    fn local_addr(&self) -> Addr {
        self.addr.clone()
    }
}
