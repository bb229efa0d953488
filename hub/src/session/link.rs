//! An authenticated link: messages in through one task, out through another, until either end has had enough.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use process_hub_core::Message;
use process_hub_core::id::Member;
use process_hub_core::wire::{self, FrameReader};
use smol_str::{SmolStr, format_smolstr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;

use crate::handle::NodeShared;
use crate::runtime::Runtime;
use crate::session::outbox::{Outbox, Work};
use crate::session::wait::{unless, within, write_all};
use crate::session::{LinkId, News, NewsSender};

/// Bytes read at a time, and written at a time unless a single message is larger: a probe never waits behind more.
pub(crate) const CHUNK: usize = 64 << 10;
/// A write buffer that has grown beyond this is given back.
const BUFFER: usize = 256 << 10;

/// What the two tasks of a link know.
pub(crate) struct Link<R> {
    pub(crate) runtime: R,
    pub(crate) node: Arc<NodeShared>,
    pub(crate) news: NewsSender,
    pub(crate) id: LinkId,
    pub(crate) member: Member,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) write_timeout: Duration,
}

impl<R: Runtime> Link<R> {
    /// Carries messages until the link ends, and tells the driver how it ended. `frames` holds what had arrived beyond
    /// the handshake.
    pub(crate) async fn run<S>(self, stream: S, frames: FrameReader)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        let this = Arc::new(self);
        let (reading, read) = oneshot::channel();
        let (writing, mut written) = oneshot::channel();
        this.runtime.spawn(this.clone().write(writer, read, writing));
        let why = match unless(&mut written, this.read(reader, frames)).await {
            Some(why) => why,
            None => written.try_recv().ok().flatten().unwrap_or(SmolStr::new_static("closed here")),
        };
        this.outbox.abort();
        drop(reading);
        let news = News::Lost { link: this.id, member: this.member.clone(), why };
        let _ = this.news.send(news).await;
    }

    /// Reads until the stream ends or makes no sense; says which.
    async fn read<S: AsyncRead>(&self, mut stream: ReadHalf<S>, mut frames: FrameReader) -> SmolStr {
        let mut chunk = vec![0; CHUNK].into_boxed_slice();
        loop {
            match self.decode(&mut frames) {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    let news = News::Messages { link: self.id, from: self.member.clone(), messages };
                    if self.news.send(news).await.is_err() {
                        return SmolStr::new_static("the node has ended");
                    }
                }
                Err(why) => {
                    self.node.stats.frames_bad.one();
                    return why;
                }
            }
            match stream.read(&mut chunk).await {
                Ok(0) => return SmolStr::new_static("closed there"),
                Ok(count) => {
                    self.node.stats.bytes_received.add(count as u64);
                    frames.push(&chunk[..count]);
                }
                Err(error) => return format_smolstr!("read: {error}"),
            }
        }
    }

    /// Every whole message that has arrived.
    fn decode(&self, frames: &mut FrameReader) -> Result<Vec<Message>, SmolStr> {
        let mut messages = Vec::new();
        while let Some(payload) = frames.next().map_err(|error| format_smolstr!("bad frame: {error}"))? {
            messages.push(wire::decode(&payload).map_err(|error| format_smolstr!("bad frame: {error}"))?);
        }
        self.node.stats.frames_received.add(messages.len() as u64);
        Ok(messages)
    }

    /// Writes what the outbox holds until it is closed, the stream fails, or the reader has gone. The end of `ended`
    /// ends the reader; what is sent through it says why, where it was not asked for.
    async fn write<S: AsyncWrite>(
        self: Arc<Self>,
        mut stream: WriteHalf<S>,
        reader: oneshot::Receiver<()>,
        ended: oneshot::Sender<Option<SmolStr>>,
    ) {
        let Some(result) = unless(reader, self.write_all(&mut stream)).await else { return };
        // A peer that reads nothing must not keep this task.
        let _ = within(&self.runtime, self.write_timeout, stream.shutdown()).await;
        let why = result.err().map(|error| match error.kind() {
            io::ErrorKind::TimedOut => SmolStr::new_static("the peer reads nothing"),
            _ => format_smolstr!("write: {error}"),
        });
        let _ = ended.send(why);
    }

    async fn write_all<S: AsyncWrite>(&self, stream: &mut WriteHalf<S>) -> io::Result<()> {
        let mut messages = Vec::new();
        let mut buffer = Vec::new();
        loop {
            match poll_fn(|cx| self.outbox.poll_take(cx, CHUNK, &mut messages)).await {
                Work::Close => return Ok(()),
                Work::Write { drained } => {
                    self.encode(&mut messages, &mut buffer);
                    write_all(&self.runtime, self.write_timeout, stream, &buffer).await?;
                    self.node.stats.bytes_sent.add(buffer.len() as u64);
                    if drained {
                        let news = News::Drained { link: self.id, member: self.member.clone() };
                        let _ = self.news.send(news).await;
                    }
                }
            }
            buffer.clear();
            buffer.shrink_to(BUFFER);
        }
    }

    /// Moves `messages` into `buffer`, as frames.
    fn encode(&self, messages: &mut Vec<Message>, buffer: &mut Vec<u8>) {
        self.node.stats.frames_sent.add(messages.len() as u64);
        for message in messages.drain(..) {
            let start = buffer.len();
            buffer.extend_from_slice(&[0; wire::PREFIX]);
            let framed = wire::encode(&message, buffer)
                .map_err(|error| error.to_string())
                .and_then(|()| wire::prefix(buffer.len() - start - wire::PREFIX).map_err(|error| error.to_string()));
            match framed {
                Ok(prefix) => buffer[start..start + wire::PREFIX].copy_from_slice(&prefix),
                Err(error) => {
                    buffer.truncate(start);
                    tracing::error!(peer = %self.member, error, "a message could not be sent");
                }
            }
        }
    }
}
