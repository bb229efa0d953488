//! Accepting links.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use process_hub_core::Time;
use process_hub_core::id::Addr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::handle::NodeShared;
use crate::options::LinkLimits;
use crate::runtime::Runtime;
use crate::session::gate::{Gate, Ticket};
use crate::session::handshake::{self, Credentials};
use crate::session::link::Link;
use crate::session::outbox::Outbox;
use crate::session::wait::{unless, within};
use crate::session::{LinkId, News, NewsSender, Opened};
use crate::transport::{Listener, Transport};

/// How long to wait after a connection could not be accepted: the cause (descriptors, memory) needs time to pass.
const RETRY: Duration = Duration::from_millis(100);

/// Addresses whose last complaint is remembered.
const COMPLAINTS: usize = 256;

/// What every link of a node is made with.
pub(crate) struct Links<R, T> {
    pub(crate) runtime: R,
    pub(crate) transport: T,
    pub(crate) node: Arc<NodeShared>,
    pub(crate) limits: LinkLimits,
    pub(crate) credentials: Credentials,
    pub(crate) news: NewsSender,
    next: AtomicU64,
    // What was complained about last, by address: dials are repeated for ever, complaints are not.
    complaints: Mutex<BTreeMap<Addr, String>>,
}

/// Dropped to end the accepting of links.
pub(crate) type Stop = oneshot::Sender<()>;

impl<R: Runtime, T: Transport> Links<R, T> {
    pub(crate) fn new(
        runtime: R,
        transport: T,
        node: Arc<NodeShared>,
        limits: LinkLimits,
        credentials: Credentials,
        news: NewsSender,
    ) -> Self {
        Self {
            runtime,
            transport,
            node,
            limits,
            credentials,
            news,
            next: AtomicU64::new(0),
            complaints: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.runtime.now()
    }

    /// Logs why a node cannot be joined, once until the reason changes.
    pub(crate) fn complain(&self, addr: &Addr, why: &str) {
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.get(addr).is_some_and(|said| said == why) {
            return tracing::debug!(%addr, why, "the node there still cannot be joined");
        }
        if complaints.len() < COMPLAINTS {
            complaints.insert(addr.clone(), why.to_owned());
        }
        drop(complaints);
        tracing::warn!(%addr, why, "the node there cannot be joined");
    }

    /// A link to a member that has proved itself; the driver says whether it stays.
    pub(crate) async fn keep<S>(&self, stream: S, proved: handshake::Proved, dialled: Option<Addr>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let id = LinkId(self.next.fetch_add(1, Ordering::Relaxed));
        let outbox = Arc::new(Outbox::new(self.limits.outbound_bytes));
        let (keep, kept) = oneshot::channel();
        let handshake::Proved { member, addr, known, frames } = proved;
        let opened = Opened { link: id, member: member.clone(), addr, known, dialled, outbox: outbox.clone(), keep };
        if self.news.send(News::Opened(opened)).await.is_err() || !kept.await.unwrap_or(false) {
            return;
        }
        let link = Link {
            runtime: self.runtime.clone(),
            node: self.node.clone(),
            news: self.news.clone(),
            id,
            member,
            outbox,
            write_timeout: self.limits.write_timeout,
        };
        link.run(stream, frames).await;
    }
}

/// Accepts links until `stop` ends, then says so.
pub(crate) async fn accept<R: Runtime, T: Transport>(
    links: Arc<Links<R, T>>,
    mut listener: T::Listener,
    mut stop: oneshot::Receiver<()>,
) {
    let gate = Gate::new(links.limits.clone());
    while let Some(accepted) = unless(&mut stop, listener.accept()).await {
        match accepted {
            Ok((incoming, peer)) => match gate.admit(links.now(), &peer) {
                Some(ticket) => links.runtime.spawn(welcome(links.clone(), incoming, ticket)),
                None => links.node.stats.strangers_refused.one(),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let pause = links.runtime.sleep_until(links.now() + RETRY);
                if unless(&mut stop, pause).await.is_none() {
                    break;
                }
            }
        }
    }
    drop(listener);
    let _ = links.news.send(News::NotListening).await;
}

/// Lets a stranger prove itself.
async fn welcome<R: Runtime, T: Transport>(links: Arc<Links<R, T>>, incoming: T::Incoming, ticket: Ticket) {
    let Links { runtime, transport, limits, .. } = &*links;
    let connection = match within(runtime, limits.connect_timeout, transport.establish(incoming)).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return tracing::debug!(%error, "an incoming stream could not be secured"),
        None => return tracing::debug!("an incoming stream was not secured in time"),
    };
    let (mut stream, peer) = (connection.stream, connection.peer);
    let proof = handshake::respond(runtime, &links.credentials, &links.node, &mut stream, connection.exporter);
    match within(runtime, limits.hello_timeout, proof).await {
        Some(Ok(proved)) => {
            drop(ticket);
            links.keep(stream, proved, None).await;
        }
        failed => {
            links.node.stats.handshakes_failed.one();
            ticket.failed(links.now());
            match failed {
                Some(Err(why)) => tracing::debug!(%peer, %why, "a stranger was turned away"),
                _ => tracing::debug!(%peer, "a stranger took too long to prove itself"),
            }
        }
    }
}
