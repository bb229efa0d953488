//! A node on tokio and TCP, in the making.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use process_hub::record::Sink;
use process_hub::saved::Store;
use process_hub::{Cookie, CookieError, NodeHandle, NodeOptions, StartNodeError};
use process_hub_core::config::MembershipConfig;
use process_hub_core::id::{Addr, Boot, IdError, NodeId};
use process_hub_core::spec::Labels;

use crate::{DataDir, DataDirError, RecordFiles, Tcp, Tokio};

/// The cookie of nodes that were given none. It is public, and keeps strangers out of nothing: such nodes speak over
/// loopback only.
pub const DEVELOPMENT_COOKIE: &str = "process-hub development cookie: public, for loopback only";

/// The way to a node.
///
/// ```no_run
/// # async fn example(secret: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use process_hub::core::config::HubConfig;
/// use process_hub::core::id::HubId;
/// use process_hub_tcp::Node;
/// use process_hub_tcp::kinds::Counter;
///
/// let node = Node::builder("n1").listen("127.0.0.1:7401").join(["127.0.0.1:7402"]).cookie(secret).start().await?;
/// let hub = node.hub(HubConfig::new(HubId::new("my_hub")?)).child::<Counter>().start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Node;

impl Node {
    /// A node of that name, unique in its cluster, to be configured and started.
    pub fn builder(name: impl Into<String>) -> NodeBuilder {
        NodeBuilder {
            name: name.into(),
            listen: "127.0.0.1:0".to_owned(),
            advertise: None,
            join: Vec::new(),
            cookies: Ok(Vec::new()),
            cluster: None,
            accept_plaintext: false,
            membership: MembershipConfig::default(),
            weight: 1,
            labels: Labels::new(),
            boot: None,
            record: None,
            data: None,
        }
    }
}

/// What a node is told at its start.
#[derive(Debug)]
#[must_use = "there is no node until it is started"]
pub struct NodeBuilder {
    name: String,
    listen: String,
    advertise: Option<String>,
    join: Vec<String>,
    cookies: Result<Vec<Cookie>, CookieError>,
    cluster: Option<String>,
    accept_plaintext: bool,
    membership: MembershipConfig,
    weight: u32,
    labels: Labels,
    boot: Option<Boot>,
    record: Option<(PathBuf, u64)>,
    data: Option<PathBuf>,
}

impl NodeBuilder {
    /// Where it listens, as `HOST:PORT`. Port 0 takes a free one. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, addr: impl Into<String>) -> Self {
        self.listen = addr.into();
        self
    }

    /// Where others reach it, if that is not where it listens.
    pub fn advertise(mut self, addr: impl Into<String>) -> Self {
        self.advertise = Some(addr.into());
        self
    }

    /// Where other nodes may be. They are looked for for ever; none of them has to be there.
    pub fn join<A: Into<String>>(mut self, addrs: impl IntoIterator<Item = A>) -> Self {
        self.join.extend(addrs.into_iter().map(Into::into));
        self
    }

    /// The cluster's secret. Without one, [`DEVELOPMENT_COOKIE`] serves, on loopback only. Given again, the later
    /// ones are accepted from others, too: the first is the current one, the second the previous one.
    pub fn cookie(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.cookies = self.cookies.and_then(|mut cookies| {
            cookies.push(Cookie::new(secret)?);
            Ok(cookies)
        });
        self
    }

    /// The cluster's name. Nodes of other clusters are refused. Default `default`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Listens beyond loopback although nothing that nodes say is hidden from the network, or safe from it.
    pub fn accept_plaintext(mut self) -> Self {
        self.accept_plaintext = true;
        self
    }

    /// How it watches the others.
    pub fn membership(mut self, membership: MembershipConfig) -> Self {
        self.membership = membership;
        self
    }

    /// Its share of the children relative to the others', where that is by consistent hashing. 0 is given nothing.
    /// Default 1, at most 64.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// What it has that children can ask for with [`ChildSpec::requires`](process_hub_core::spec::ChildSpec::requires).
    pub fn labels<L: AsRef<str>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.labels = labels.into_iter().collect();
        self
    }

    /// This life of the node's name: greater than any earlier one. Default: from the wall clock and randomness.
    pub fn boot(mut self, boot: Boot) -> Self {
        self.boot = Some(boot);
        self
    }

    /// Writes down what the node is handed, into files in this directory that take about `limit` bytes in all, so that it
    /// can be replayed: see [`process_hub::record`] for what that is good for and [`RecordFiles`] for the files. Default not.
    pub fn record(mut self, dir: impl Into<PathBuf>, limit: u64) -> Self {
        self.record = Some((dir.into(), limit));
        self
    }

    /// Keeps what its hubs have declared in this directory, and restores it from there: a cluster that ends as a whole comes
    /// back with its children. See [`process_hub::saved`] and [`DataDir`]. Default not.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Some(dir.into());
        self
    }

    /// Starts the node on the tokio runtime that this is awaited on. It listens, and looks for the others, when this
    /// returns.
    ///
    /// # Errors
    /// See [`StartError`]; nothing of the node is left then.
    pub async fn start(self) -> Result<NodeHandle, StartError> {
        let options = self.options().await?;
        let listen = options.listen.clone();
        process_hub::start(options, Tokio::current(), Tcp).await.map_err(|error| match error {
            StartNodeError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                StartError::PortInUse { addr: listen }
            }
            other => StartError::Node(other),
        })
    }

    async fn options(self) -> Result<NodeOptions, StartError> {
        let mut options = NodeOptions::new(NodeId::new(&self.name)?, &self.listen);
        options.cookies = self.cookies.map_err(|error| StartError::Node(error.into()))?;
        let resolved = resolve(&self.listen).await?;
        check_reach(&self.listen, &resolved, self.accept_plaintext, options.cookies.is_empty())?;
        let nowhere = resolved.iter().any(|addr| addr.ip().is_unspecified());
        if nowhere && self.advertise.is_none() {
            return Err(StartError::AdvertiseNeeded { addr: Addr::new(&self.listen) });
        }
        for addr in self.advertise.iter().chain(&self.join) {
            check_form(addr)?;
        }
        options.advertise = self.advertise.as_deref().map(Addr::new);
        options.join = self.join.iter().map(Addr::new).collect();
        if options.cookies.is_empty() {
            tracing::warn!("no cookie was given: the public development cookie serves, on loopback only");
            let public = Cookie::new(DEVELOPMENT_COOKIE).map_err(|error| StartError::Node(error.into()))?;
            options.cookies.push(public);
        }
        if let Some(cluster) = self.cluster {
            options.cluster = cluster.into();
        }
        options.membership = self.membership;
        (options.weight, options.labels) = (self.weight, self.labels);
        options.boot = self.boot;
        if let Some((dir, limit)) = self.record {
            let files = RecordFiles::create(&dir, limit).map_err(|source| StartError::Record { dir, source })?;
            options.record = Some(Sink::new(files));
        }
        if let Some(dir) = self.data {
            let (cluster, at) = (options.cluster.clone(), dir.clone());
            let opened = tokio::task::spawn_blocking(move || DataDir::open(at, &cluster)).await;
            let data = opened.map_err(|error| DataDirError::Io { path: dir, source: io::Error::other(error) })??;
            options.store = Some(Store::new(data));
        }
        Ok(options)
    }
}

/// A node could not be started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its name is no name.
    #[error(transparent)]
    Name(#[from] IdError),
    /// An address makes no sense.
    #[error("`{addr}` is no address ({problem}): give HOST:PORT, such as 127.0.0.1:7401")]
    BadAddress {
        /// Which.
        addr: Addr,
        /// Why not.
        problem: String,
    },
    /// Somebody listens there already.
    #[error("{addr} is in use: end whoever listens there, or choose another port (0 takes a free one)")]
    PortInUse {
        /// Where.
        addr: Addr,
    },
    /// It would listen on every interface, and others could not know where to reach it.
    #[error("{addr} is every address of this machine: say at which one others reach it (advertise)")]
    AdvertiseNeeded {
        /// Where it would listen.
        addr: Addr,
    },
    /// It would listen beyond loopback without TLS, and that was not accepted.
    #[error("{addr} can be reached from other machines, and there is no TLS: listen at 127.0.0.1, or accept plaintext")]
    PlaintextRefused {
        /// Where it would listen.
        addr: Addr,
    },
    /// It would listen beyond loopback with the public development cookie.
    #[error("{addr} can be reached from other machines, and no cookie was given: give the cluster's secret")]
    CookieNeeded {
        /// Where it would listen.
        addr: Addr,
    },
    /// Its record cannot be written.
    #[error("{} cannot hold the node's record ({source}): name a directory that can be written to", dir.display())]
    Record {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its data cannot be restored from where it is kept, or not be kept there.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// Anything else.
    #[error(transparent)]
    Node(StartNodeError),
}

/// Whether an address has the form `HOST:PORT` with a port that can be dialled. Its host need not be known yet.
fn check_form(addr: &str) -> Result<(), StartError> {
    let problem = match addr.rsplit_once(':') {
        None => "it has no port",
        Some(("", _)) => "it has no host",
        Some((_, port)) => match port.parse::<u16>() {
            Ok(0) => "nobody can be reached at port 0",
            Ok(_) => return Ok(()),
            Err(_) => "its port is no number up to 65535",
        },
    };
    Err(StartError::BadAddress { addr: Addr::new(addr), problem: problem.to_owned() })
}

async fn resolve(addr: &str) -> Result<Vec<SocketAddr>, StartError> {
    let bad = |problem: String| StartError::BadAddress { addr: Addr::new(addr), problem };
    let found: Vec<SocketAddr> = tokio::net::lookup_host(addr).await.map_err(|error| bad(error.to_string()))?.collect();
    if found.is_empty() { Err(bad("its host is unknown".to_owned())) } else { Ok(found) }
}

fn check_reach(addr: &str, resolved: &[SocketAddr], accept_plaintext: bool, no_cookie: bool) -> Result<(), StartError> {
    if resolved.iter().all(|addr| addr.ip().to_canonical().is_loopback()) {
        return Ok(());
    }
    let addr = Addr::new(addr);
    if !accept_plaintext {
        return Err(StartError::PlaintextRefused { addr });
    }
    if no_cookie {
        return Err(StartError::CookieNeeded { addr });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(builder: NodeBuilder) -> String {
        builder.start().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused_with_words() {
        for (builder, words) in [
            (Node::builder(""), "a node name must not be empty"),
            (Node::builder("n1").listen("127.0.0.1"), "give HOST:PORT"),
            (Node::builder("n1").listen("0.0.0.0:0"), "accept plaintext"),
            (Node::builder("n1").listen("0.0.0.0:0").accept_plaintext(), "give the cluster's secret"),
            (Node::builder("n1").listen("0.0.0.0:0").accept_plaintext().cookie("long enough"), "say at which one"),
            (Node::builder("n1").cookie("x"), "a cookie of 1 bytes is too short"),
            (Node::builder("n1").join(["somewhere"]), "it has no port"),
            (Node::builder("n1").join([":7401"]), "it has no host"),
            (Node::builder("n1").join(["host:seven"]), "no number up to 65535"),
            (Node::builder("n1").advertise("host:0"), "port 0"),
        ] {
            let said = refusal(builder).await;
            assert!(said.contains(words), "{said:?} lacks {words:?}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let said = refusal(Node::builder("n1").listen(&addr)).await;
        assert!(said.contains(&addr) && said.contains("is in use"), "{said}");
    }
}
