//! The opening of a link: the core's sans-IO handshake, carried over a stream.

use std::io;

use bytes::Bytes;
use process_hub_core::config::ConfigError;
use process_hub_core::id::{Addr, Boot, Member};
use process_hub_core::wire::{
    self, FrameError, FrameReader, HANDSHAKE_LIMIT, Handshake, HandshakeConfig, HandshakeError, Step,
};
use smol_str::SmolStr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::StartNodeError;
use crate::handle::NodeShared;
use crate::options::NodeOptions;
use crate::runtime::Runtime;

/// What this node brings into every handshake.
#[derive(Debug)]
pub(crate) struct Credentials {
    cluster: SmolStr,
    addr: Addr,
    current: wire::Cookie,
    previous: Option<wire::Cookie>,
}

impl Credentials {
    /// The first cookie is the current one, the second the one before.
    pub(crate) fn new(options: &NodeOptions, member: &Member, advertises: &Addr) -> Result<Self, StartNodeError> {
        let mut cookies = options.cookies.iter().cloned();
        let current = cookies.next().ok_or(StartNodeError::NoCookie)?;
        let previous = cookies.next();
        let this = Self { cluster: options.cluster.clone(), addr: advertises.clone(), current, previous };
        this.config(member, [0; 32])?;
        Ok(this)
    }

    /// For one handshake, in the life that the node goes by now.
    fn config(&self, member: &Member, exporter: [u8; 32]) -> Result<HandshakeConfig, ConfigError> {
        let config = HandshakeConfig::new(member.clone(), &self.addr, &self.cluster, &self.current)?.exporter(exporter);
        Ok(match &self.previous {
            Some(previous) => config.previous(previous),
            None => config,
        })
    }
}

/// A peer that has proved itself.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) member: Member,
    pub(crate) addr: Addr,
    pub(crate) known: Option<Boot>,
    /// What has arrived beyond the handshake.
    pub(crate) frames: FrameReader,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream broke: {0}")]
    Stream(#[from] io::Error),
    #[error("the other end closed the stream while the link was being opened")]
    Closed,
}

/// Proves this node to whom it has dialled, and has that node prove itself.
pub(crate) async fn initiate<R: Runtime, S: AsyncRead + AsyncWrite + Unpin>(
    runtime: &R,
    credentials: &Credentials,
    node: &NodeShared,
    stream: &mut S,
    exporter: [u8; 32],
) -> Result<Proved, Refusal> {
    let (handshake, hello) = Handshake::initiator(credentials.config(&node.goes_by(), exporter)?, nonce(runtime))?;
    send(stream, &hello).await?;
    converse(handshake, node, stream).await
}

/// Has a stranger prove itself, and proves this node to it. Returns once the other end has said its first word beyond
/// the handshake: only then is it certain that it keeps the link.
pub(crate) async fn respond<R: Runtime, S: AsyncRead + AsyncWrite + Unpin>(
    runtime: &R,
    credentials: &Credentials,
    node: &NodeShared,
    stream: &mut S,
    exporter: [u8; 32],
) -> Result<Proved, Refusal> {
    let handshake = Handshake::responder(credentials.config(&node.goes_by(), exporter)?, nonce(runtime));
    let mut proved = converse(handshake, node, stream).await?;
    while proved.frames.buffered() == 0 {
        receive(stream, &mut proved.frames).await?;
    }
    Ok(proved)
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut handshake: Handshake,
    node: &NodeShared,
    stream: &mut S,
) -> Result<Proved, Refusal> {
    let mut frames = FrameReader::with_limit(HANDSHAKE_LIMIT);
    loop {
        let said = listen(stream, &mut frames).await?;
        match handshake.handle(&said, |name| node.known_boot(name)) {
            Ok(Step::Send(answer)) => send(stream, &answer).await?,
            Ok(Step::Done { send: last, peer }) => {
                if let Some(last) = last {
                    send(stream, &last).await?;
                }
                frames.set_limit(process_hub_core::config::limits::FRAME);
                return Ok(Proved { member: peer.member, addr: peer.addr, known: peer.known, frames });
            }
            Err(error) => {
                if let Some(refusal) = handshake.refusal() {
                    send(stream, refusal).await?;
                }
                return Err(error.into());
            }
        }
    }
}

/// The next frame's payload.
async fn listen<S: AsyncRead + Unpin>(stream: &mut S, frames: &mut FrameReader) -> Result<Bytes, Refusal> {
    loop {
        if let Some(payload) = frames.next()? {
            return Ok(payload);
        }
        receive(stream, frames).await?;
    }
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S, frames: &mut FrameReader) -> Result<(), Refusal> {
    let mut piece = [0; 1_024];
    match stream.read(&mut piece).await? {
        0 => Err(Refusal::Closed),
        count => {
            frames.push(&piece[..count]);
            Ok(())
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, payload: &[u8]) -> Result<(), Refusal> {
    let mut frame = Vec::with_capacity(wire::PREFIX + payload.len());
    wire::write_frame(payload, &mut frame)?;
    stream.write_all(&frame).await?;
    Ok(stream.flush().await?)
}

fn nonce(runtime: &impl Runtime) -> wire::Nonce {
    let mut nonce = [0; 32];
    runtime.fill(&mut nonce);
    nonce
}
