//! Streams in memory, between addresses that are any text.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::id::Addr;
use process_hub::{ConnectError, Connection, Listener, Peer, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Who listens where, and how long what is written is under way.
#[derive(Clone, Debug, Default)]
pub struct Network {
    listeners: Arc<Mutex<HashMap<Addr, mpsc::UnboundedSender<DuplexStream>>>>,
    delay: Duration,
    trouble: Arc<Trouble>,
}

/// What is wrong with a network: for those that are not immediate.
#[derive(Debug, Default)]
struct Trouble {
    /// Whether nothing that is written is taken any more.
    stalled: watch::Sender<bool>,
    /// What is put before the next thing that is written.
    junk: Mutex<Option<Vec<u8>>>,
}

impl Network {
    /// Takes nothing more of what is written, on all streams, until this is called with `false`.
    pub fn stall(&self, stalled: bool) {
        self.trouble.stalled.send_replace(stalled);
    }

    /// Puts this before the next thing that anybody writes.
    pub fn inject(&self, junk: Vec<u8>) {
        *self.trouble.junk.lock().unwrap() = Some(junk);
    }

    /// Whether what was to be injected has been.
    pub fn is_injected(&self) -> bool {
        self.trouble.junk.lock().unwrap().is_none()
    }

    /// A network on which all that is written is under way for so long.
    pub fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A raw stream to whoever listens at `addr`.
    pub fn open(&self, addr: &str) -> Option<DuplexStream> {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        if !self.delay.is_zero() {
            let (far, end) = tokio::io::duplex(64 << 10);
            let ((ours_out, ours_in), (far_out, far_in)) = (tokio::io::split(theirs), tokio::io::split(far));
            tokio::spawn(carry(ours_out, far_in, self.delay, self.trouble.clone()));
            tokio::spawn(carry(far_out, ours_in, self.delay, self.trouble.clone()));
            theirs = end;
        }
        self.listeners.lock().unwrap().get(addr)?.send(theirs).ok()?;
        Some(ours)
    }
}

/// Takes what is written at one end to the other, each part `delay` after it was written, until either end is closed.
async fn carry(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    delay: Duration,
    trouble: Arc<Trouble>,
) {
    let mut stalled = trouble.stalled.subscribe();
    let (under_way, mut arrived) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let delivery = tokio::spawn(async move {
        while let Some((due, part)) = arrived.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&part).await?;
        }
        to.shutdown().await
    });
    let mut part = vec![0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut part).await {
        if let Some(junk) = trouble.junk.lock().unwrap().take() {
            let _ = under_way.send((Instant::now() + delay, junk));
        }
        if stalled.wait_for(|stalled| !stalled).await.is_err() {
            break;
        }
        if under_way.send((Instant::now() + delay, part[..len].to_vec())).is_err() {
            break;
        }
    }
    drop(under_way);
    // An end that is gone is no matter of this one's.
    let _ = delivery.await;
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
        let mut listeners = self.listeners.lock().unwrap();
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
