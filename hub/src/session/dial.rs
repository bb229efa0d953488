//! Opening links.

use std::sync::Arc;

use process_hub_core::DialFailure;
use process_hub_core::id::Addr;
use process_hub_core::wire::HandshakeError;

use crate::runtime::Runtime;
use crate::session::News;
use crate::session::accept::Links;
use crate::session::handshake::{self, Refusal};
use crate::session::wait::within;
use crate::transport::{ConnectError, Transport};

/// Tries once to open a link to `addr`, and runs it; the driver hears of either outcome.
pub(crate) async fn dial<R: Runtime, T: Transport>(links: Arc<Links<R, T>>, addr: Addr) {
    if let Err(reason) = attempt(&links, &addr).await {
        tracing::debug!(%addr, ?reason, "a dial gave no link");
        let _ = links.news.send(News::Failed { addr, reason }).await;
    }
}

async fn attempt<R: Runtime, T: Transport>(links: &Links<R, T>, addr: &Addr) -> Result<(), DialFailure> {
    let Links { runtime, transport, limits, .. } = links;
    let connection = match within(runtime, limits.connect_timeout, transport.connect(addr)).await {
        Some(Ok(connection)) => connection,
        Some(Err(ConnectError::Refused)) => return Err(DialFailure::Refused),
        Some(Err(ConnectError::Unreachable)) | None => return Err(DialFailure::Unreachable),
        Some(Err(ConnectError::Other(error))) => {
            tracing::debug!(%addr, %error, "cannot connect");
            return Err(DialFailure::Unreachable);
        }
    };
    let mut stream = connection.stream;
    let proof = handshake::initiate(runtime, &links.credentials, &links.node, &mut stream, connection.exporter);
    let failure = match within(runtime, limits.hello_timeout, proof).await {
        Some(Ok(proved)) => {
            links.keep(stream, proved, Some(addr.clone())).await;
            return Ok(());
        }
        Some(Err(Refusal::Handshake(HandshakeError::Myself))) => DialFailure::Myself,
        Some(Err(why)) => {
            links.complain(addr, &why.to_string());
            DialFailure::Rejected
        }
        None => {
            links.complain(addr, "whoever listens there does not answer");
            DialFailure::Rejected
        }
    };
    links.node.stats.handshakes_failed.one();
    Err(failure)
}
