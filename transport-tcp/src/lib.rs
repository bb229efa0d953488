//! ProcessHub on tokio and TCP: [`Node::builder`] is the way in, `process_hub` has everything after it.

#![forbid(unsafe_code)]

pub mod kinds;
mod node;
mod runtime;
mod transport;

pub use node::{DEVELOPMENT_COOKIE, Node, NodeBuilder, StartError};
pub use runtime::Tokio;
pub use transport::{Tcp, TcpIncoming};
