//! ProcessHub on tokio and TCP: [`Node::builder`] is the way in, `process_hub` has everything after it.

#![forbid(unsafe_code)]

mod data;
pub mod kinds;
mod load;
mod node;
mod record;
mod runtime;
mod transport;

pub use data::{DataDir, DataDirError};
pub use node::{DEVELOPMENT_COOKIE, Node, NodeBuilder, StartError};
pub use record::RecordFiles;
pub use runtime::Tokio;
pub use transport::{Tcp, TcpIncoming};

/// The README and the pages of the guide, so that their examples are compiled and run as tests.
#[cfg(doctest)]
mod guide {
    macro_rules! pages {
        ($($page:ident = $path:literal),* $(,)?) => {
            $(#[doc = include_str!(concat!("../../", $path))] mod $page {})*
        };
    }
    pages!(
        admin_api = "docs/admin-api.md",
        architecture = "docs/architecture.md",
        children = "docs/children.md",
        configuration = "docs/configuration.md",
        custom_strategies = "docs/custom-strategies.md",
        embedding = "docs/embedding.md",
        flight_recorder = "docs/flight-recorder.md",
        handover = "docs/handover.md",
        hooks = "docs/hooks.md",
        introduction = "docs/introduction.md",
        manual_distribution = "docs/manual-distribution.md",
        messaging = "docs/messaging.md",
        readme = "README.md",
        recovery = "docs/recovery.md",
        registry = "docs/registry.md",
        replication = "docs/replication.md",
        running = "docs/running.md",
        starting = "docs/starting.md",
        steering = "docs/steering.md",
    );
}
