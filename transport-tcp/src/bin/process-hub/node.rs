//! `process-hub node`: one node of a cluster, until it is told to stop.

use std::time::Duration;

use process_hub::{Hub, NodeHandle, StartNodeError};
use process_hub_core::MemberState;
use process_hub_core::config::MembershipConfig;
use process_hub_core::request::ChildFailure;
use process_hub_tcp::kinds::{Counter, Echo};
use process_hub_tcp::{Node, StartError};
use tokio::io::AsyncReadExt;

use crate::admin;
use crate::args::{LogFormat, NodeArgs};
use crate::failure::{Failure, Outcome};
use crate::manifest::{self, Manifest};
use crate::output::line;
use crate::secret;
use crate::settings::{self, Settings};
use crate::signals::told_to_stop;

/// The hub of a node that was not told which.
const USUAL_HUB: &str = "demo";
/// How many children of a manifest are started at a time.
const BATCH: usize = 10_000;
/// How long one such batch may take to come up before the log says so.
const BATCH_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &NodeArgs) -> Outcome {
    start_logging(args)?;
    // Read before anything starts: a node without its children is no use.
    let children = args.children.as_deref().map(manifest::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let outcome = runtime.block_on(live(args, children));
    // Reading standard input cannot be cancelled: it must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn live(args: &NodeArgs, children: Option<Manifest>) -> Outcome {
    let Settings { hubs, membership } = settings::read(&args.strategies, &args.hub, USUAL_HUB)?;
    let bound = admin::bind(args).await?;
    let node = start(args, membership).await?;
    for hub in hubs {
        let hub = node.hub(hub).child::<Counter>().child::<Echo>();
        hub.start().await.map_err(Failure::failed)?;
    }
    let addr = bound.as_ref().map(|bound| format!("http://{}", bound.addr));
    let serving = bound.map(|bound| admin::serve(bound, node.clone()));
    let member = node.member();
    let admin = addr.as_deref().unwrap_or("off");
    line(format_args!("ready listen={} admin={admin} boot={} node={}", node.listens_at(), member.boot, member.node));
    tracing::info!(node = %member.node, boot = %member.boot, listen = %node.listens_at(), admin, "the node runs");
    if let Some(children) = children {
        tokio::spawn(start_children(
            node.clone(),
            children,
            Duration::from_secs(args.join_timeout),
            !args.join.is_empty(),
        ));
    }
    let why = wait(&node, args.until_stdin_closes).await;
    let outcome = leave(&node, why, Duration::from_secs(args.leave_timeout)).await;
    if let Some(serving) = serving {
        serving.stop().await;
    }
    outcome
}

async fn start(args: &NodeArgs, membership: MembershipConfig) -> Outcome<NodeHandle> {
    let mut builder = Node::builder(&args.name).listen(&args.listen).join(&args.join).cluster(&args.cluster);
    builder = builder.membership(membership).weight(args.weight).labels(&args.label);
    if let Some(advertise) = &args.advertise {
        builder = builder.advertise(advertise);
    }
    if let Some(path) = &args.cookie_file {
        let cookies = secret::cookies(path)?;
        if let Some(weakness) = &cookies.weakness {
            // Who accepts plaintext leaves the machine; who does not stays on loopback.
            if args.accept_plaintext {
                return Err(Failure::usage(weakness).hint("beyond loopback, the cookie must be hard to come by"));
            }
            tracing::warn!("{weakness}");
        }
        builder = builder.cookie(cookies.current.expose());
        if let Some(previous) = &cookies.previous {
            builder = builder.cookie(previous.expose());
        }
    }
    if args.accept_plaintext {
        builder = builder.accept_plaintext();
    }
    if let Some(dir) = &args.record {
        builder = builder.record(dir, args.record_mb << 20);
    }
    if let Some(dir) = &args.data_dir {
        builder = builder.data_dir(dir);
    }
    builder.start().await.map_err(|error| {
        let text = error.to_string();
        let (message, hint) = text.rsplit_once(": ").unwrap_or((&text, ""));
        // What is wrong with the command line would be wrong anywhere; a port that is taken is not.
        let failure = match error {
            StartError::PortInUse { .. } | StartError::Node(StartNodeError::Listen { .. }) => Failure::failed(message),
            _ => Failure::usage(message),
        };
        failure.hint(hint)
    })
}

/// Until there is a reason to leave; says which.
async fn wait(node: &NodeHandle, until_stdin_closes: bool) -> &'static str {
    tokio::select! {
        why = told_to_stop() => why,
        () = stdin_closed(), if until_stdin_closes => "standard input was closed",
        () = node.closed() => "the node ended by itself",
    }
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut bytes = [0; 1_024];
    while stdin.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

async fn leave(node: &NodeHandle, why: &'static str, limit: Duration) -> Outcome {
    if !node.is_alive() {
        return Err(Failure::failed(why).hint("see the log"));
    }
    tracing::info!(why, "leaving: children move to other nodes, or end");
    tokio::select! {
        left = node.leave(limit) => match left {
            Ok(0) => tracing::info!("left"),
            Ok(remaining) => tracing::warn!(remaining, "left; some children had not moved or ended in time"),
            Err(error) => tracing::warn!(%error, "left in a hurry"),
        },
        // Who asks twice does not want to wait.
        again = told_to_stop() => tracing::warn!(why = again, "leaving at once"),
    }
    Ok(())
}

/// Starts the children of a manifest in the node's first hub, once the node has found its cluster: one that already
/// runs there must not be started anew.
async fn start_children(node: NodeHandle, manifest: Manifest, limit: Duration, joins: bool) {
    if joins && tokio::time::timeout(limit, has_joined(&node)).await.is_err() {
        tracing::warn!(
            seconds = limit.as_secs(),
            "no other node was found; the manifest's children start nevertheless"
        );
    }
    let Some(hub) = node.hubs().into_iter().next() else { return };
    let mapping = manifest.mapping.as_ref().map(admin::mapping).transpose();
    let (specs, mapping) = match admin::specs(&hub, &manifest.children).and_then(|specs| Ok((specs, mapping?))) {
        Ok(both) => both,
        Err(problem) => {
            tracing::error!(%problem, "none of the manifest's children was started");
            return;
        }
    };
    let (mut started, mut existed, mut failed) = (0, 0, 0);
    for batch in specs.chunks(BATCH) {
        let mut start =
            hub.start_children(batch.iter().cloned()).check_existing(false).disable_logging(true).timeout(BATCH_LIMIT);
        if let Some(mapping) = &mapping {
            let of_batch = mapping.iter().filter(|(id, _)| batch.iter().any(|spec| spec.id == *id));
            start = start.child_mapping(of_batch.cloned());
        }
        match start.await {
            Ok(result) => {
                started += result.started.len();
                for failure in result.errors {
                    if failure.reason == ChildFailure::AlreadyStarted {
                        existed += 1;
                    } else {
                        failed += 1;
                        tracing::warn!(id = %failure.id, reason = %failure.reason, "a child of the manifest does not run");
                    }
                }
            }
            Err(error) => {
                failed += batch.len();
                tracing::error!(%error, "a batch of the manifest was refused");
            }
        }
    }
    tracing::info!(hub = %hub.id(), started, existed, failed, "the manifest's children were started");
}

/// Waits until another member is up, and takes part in the first hub with this one.
async fn has_joined(node: &NodeHandle) {
    let mut members = node.watch_members();
    let me = node.member().clone();
    let other_is_up = |infos: &std::sync::Arc<[process_hub_core::MemberInfo]>| {
        infos.iter().any(|info| info.member != me && info.state == MemberState::Up)
    };
    if members.wait_for(other_is_up).await.is_err() {
        return;
    }
    let Some(hub) = node.hubs().into_iter().next() else { return };
    in_company(&hub).await;
}

async fn in_company(hub: &Hub) {
    let mut events = hub.events();
    while hub.nodes(false).is_empty() {
        if events.next().await.is_none() {
            return;
        }
    }
}

fn start_logging(args: &NodeArgs) -> Outcome {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::fmt;
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        Failure::usage(format!("--log {}: {error}", args.log)).hint("give a level, or such as info,process_hub=debug")
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match args.log_format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            builder.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(Failure::failed)
}
