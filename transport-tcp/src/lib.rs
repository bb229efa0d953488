//! ProcessHub on tokio and TCP: [`Node::builder`] is the way in, `process_hub` has everything after it.

#![forbid(unsafe_code)]

pub mod kinds;
mod node;
mod runtime;
mod transport;

pub use node::{DEVELOPMENT_COOKIE, Node, NodeBuilder, StartError};
pub use runtime::Tokio;
pub use transport::{Tcp, TcpIncoming};

/// The pages of the guide, so that their examples are compiled and run as tests.
#[cfg(doctest)]
mod guide {
    macro_rules! pages {
        ($($page:ident = $path:literal),* $(,)?) => {
            $(#[doc = include_str!(concat!("../../docs/", $path))] mod $page {})*
        };
    }
    pages!(
        admin_api = "admin-api.md",
        children = "children.md",
        embedding = "embedding.md",
        hooks = "hooks.md",
        messaging = "messaging.md",
        registry = "registry.md",
        running = "running.md",
        starting = "starting.md",
    );
}
