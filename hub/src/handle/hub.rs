//! The handle of one hub on this node, and its making.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use process_hub_core::ChildEvent;
use process_hub_core::config::HubConfig;
use process_hub_core::hook::HookKind;
use process_hub_core::id::{ChildId, HubId, Kind, Member, NodeId, Pid};
use process_hub_core::message::Phase;
use process_hub_core::request::{ChildFailure, Failure, Reply, Request, Target};
use process_hub_core::spec::ChildSpec;
use smol_str::SmolStr;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::child::Child;
use crate::codec;
use crate::contain::contained;
use crate::driver::ChildReport;
use crate::error::{CallError, Closed, OpenHubError, StartError, StopError};
use crate::events::{Events, HubEvent};
use crate::handle::{ChildList, ChildLookup, Command, NodeShared, StartChildren, StopChildren, ask};
use crate::hooks::{Change, HandlerInfo, HookError, HookHandler, Hooks};
use crate::kinds::Kinds;
use crate::runtime::AnyRuntime;
use crate::view::ReadView;

/// How long a call waits for its reply unless it says otherwise.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many events a slow receiver may be behind before it misses some.
const EVENT_ROOM: usize = 4_096;

/// One hub as seen from this node. Cheap to clone; lookups never wait for anything.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<HubShared>);

/// What the handle, the children and the driver share of a hub.
pub(crate) struct HubShared {
    pub(crate) config: HubConfig,
    pub(crate) node: Arc<NodeShared>,
    pub(crate) kinds: Kinds,
    pub(crate) view: ReadView,
    pub(crate) events: broadcast::Sender<HubEvent>,
    pub(crate) hooks: Hooks,
    /// How far this node is with the hub; `None` once the node has ended.
    pub(crate) phase: watch::Sender<Option<Phase>>,
}

/// Which children a listing is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ListScope {
    /// Those of every node of the view.
    #[default]
    Global,
    /// Those of this node.
    Local,
}

impl HubShared {
    /// Tells the driver what happened to an instance; nobody listens any more once the node has ended.
    pub(crate) fn report(&self, sequence: u64, event: ChildEvent) {
        let _ = self.node.reports.send(ChildReport { hub: self.config.id.clone(), sequence, event });
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> HubEvent) {
        if self.events.receiver_count() > 0 {
            // Fails only if the last receiver has just gone.
            let _ = self.events.send(event());
        }
    }
}

impl Hub {
    pub(crate) fn shared(&self) -> &Arc<HubShared> {
        &self.0
    }
    pub(crate) fn commands(&self) -> &mpsc::Sender<Command> {
        &self.0.node.commands
    }
    pub(crate) fn runtime(&self) -> &AnyRuntime {
        &self.0.node.runtime
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &HubId {
        &self.0.config.id
    }

    /// What it was told at its start.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    /// This node, in its present life.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.0.node.member
    }

    /// The kinds of children this node knows in this hub, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.0.kinds.names()
    }

    // ---- starting and stopping

    /// Starts children wherever they belong. Configure the returned value, then await or initiate it.
    pub fn start_children(&self, children: impl IntoIterator<Item = ChildSpec>) -> StartChildren {
        StartChildren::new(self.clone(), children.into_iter().collect())
    }

    /// Starts one child and waits until it runs.
    ///
    /// # Errors
    /// The outer error when the start was refused and nothing changed; the inner one when the child was declared and
    /// could not be started, and says why.
    pub async fn start_child(&self, child: ChildSpec) -> Result<Result<Pid, Failure>, StartError> {
        let id = child.id.clone();
        let mut result = self.start_children([child]).await?;
        if let Some(failure) = result.errors.pop() {
            return Ok(Err(failure));
        }
        match result.pid() {
            Some(pid) => Ok(Ok(pid.clone())),
            None => Ok(Err(Failure { id, node: None, reason: process_hub_core::request::ChildFailure::Timeout })),
        }
    }

    /// Stops children wherever they run. Configure the returned value, then await or initiate it.
    pub fn stop_children(&self, ids: impl IntoIterator<Item = ChildId>) -> StopChildren {
        StopChildren::new(self.clone(), ids.into_iter().collect())
    }

    /// Stops one child and waits until it runs nowhere.
    ///
    /// # Errors
    /// The outer error when the stop was refused and nothing changed; the inner one when the child could not be
    /// stopped, or that could not be confirmed in time.
    pub async fn stop_child(&self, id: ChildId) -> Result<Result<(), Failure>, StopError> {
        let mut result = self.stop_children([id]).await?;
        Ok(result.errors.pop().map_or(Ok(()), Err))
    }

    // ---- hooks

    /// Registers handlers of one kind of hook event. From the next event of that kind on they are run; see
    /// [`HookHandler`] for how.
    ///
    /// # Errors
    /// When one of them has an id that a handler of this kind has already, or cannot handle this kind: none of the
    /// group is registered then.
    pub async fn register_hook_handlers(
        &self,
        kind: HookKind,
        handlers: impl IntoIterator<Item = HookHandler>,
    ) -> Result<(), HookError> {
        self.change_hooks(Change::Register(kind, handlers.into_iter().collect())).await
    }

    /// Cancels handlers of one kind of hook event by their ids. Ids that nobody has are fine.
    ///
    /// # Errors
    /// When the node was shut down.
    pub async fn cancel_hook_handlers<I: AsRef<str>>(
        &self,
        kind: HookKind,
        ids: impl IntoIterator<Item = I>,
    ) -> Result<(), HookError> {
        self.change_hooks(Change::Cancel(kind, ids.into_iter().map(SmolStr::new).collect())).await
    }

    /// The handlers that are registered, by kind, in the order in which they are run.
    #[must_use]
    pub fn hook_handlers(&self) -> Vec<HandlerInfo> {
        self.0.hooks.list()
    }

    async fn change_hooks(&self, change: Change) -> Result<(), HookError> {
        let (answer, changed) = oneshot::channel();
        let command = Command::Hooks { hub: self.id().clone(), change, answer };
        self.commands().send(command).await.map_err(|_| Closed)?;
        changed.await.map_err(|_| Closed)?
    }

    // ---- messages

    /// Hands a message to a child, wherever it runs, and waits up to 5 s for its reply. The child must be of the kind
    /// `C`: bytes that make no sense to it are an error. At most once.
    ///
    /// # Errors
    /// See [`CallError`]; each case says whether the child may have handled the message.
    pub async fn call<C: Child>(&self, id: &ChildId, message: C::Message) -> Result<C::Reply, CallError> {
        self.call_within::<C>(Target::Child(id.clone()), message, CALL_TIMEOUT).await
    }

    /// The same for one very instance: an error if it is gone, even if another has taken its place.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_pid<C: Child>(
        &self,
        id: &ChildId,
        pid: &Pid,
        message: C::Message,
    ) -> Result<C::Reply, CallError> {
        self.call_within::<C>(Target::Pid(id.clone(), pid.clone()), message, CALL_TIMEOUT).await
    }

    /// The same with a timeout of the caller's choosing, moves and retries included.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_within<C: Child>(
        &self,
        to: Target,
        message: C::Message,
        timeout: Duration,
    ) -> Result<C::Reply, CallError> {
        let payload = codec::encode(&message)?;
        let reply = self.call_raw(to, payload, timeout).await?;
        Ok(codec::decode(&reply)?)
    }

    /// The same with bytes in the kind's own encoding.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(&self, to: Target, payload: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let request = Request::Call { hub: self.id().clone(), to, payload, timeout };
        match ask(self.commands(), request).await? {
            Reply::Call(reply) => Ok(reply?),
            _ => Err(Closed.into()),
        }
    }

    /// Hands a message to a child, wherever it runs, and waits for nothing but its sending. At most once.
    ///
    /// # Errors
    /// When it was certainly not sent. Success says that it was sent, not that it arrived.
    pub async fn cast<C: Child>(&self, id: &ChildId, message: C::Message) -> Result<(), CallError> {
        self.cast_raw(Target::Child(id.clone()), codec::encode(&message)?).await
    }

    /// The same for one very instance.
    ///
    /// # Errors
    /// As [`Hub::cast`].
    pub async fn cast_pid<C: Child>(&self, id: &ChildId, pid: &Pid, message: C::Message) -> Result<(), CallError> {
        self.cast_raw(Target::Pid(id.clone(), pid.clone()), codec::encode(&message)?).await
    }

    /// The same with bytes in the kind's own encoding.
    ///
    /// # Errors
    /// As [`Hub::cast`].
    pub async fn cast_raw(&self, to: Target, payload: Bytes) -> Result<(), CallError> {
        let request = Request::Cast { hub: self.id().clone(), to, payload };
        match ask(self.commands(), request).await? {
            Reply::Cast(sent) => Ok(sent?),
            _ => Err(Closed.into()),
        }
    }

    // ---- reading: from a mirror of this node's registry, without waiting

    /// The instance that serves for a child; `None` when none does as far as this node knows. A bare pid does not say
    /// whether the hub is locked: where that counts, ask [`Hub::child_lookup`].
    #[must_use]
    pub fn get_pid(&self, id: &ChildId) -> Option<Pid> {
        self.0.view.pid(id)
    }

    /// All running copies of a child, the active one first; as bare as [`Hub::get_pid`].
    #[must_use]
    pub fn get_pids(&self, id: &ChildId) -> Vec<Pid> {
        self.0.view.pids(id)
    }

    /// All that is known of a child: recipe, metadata (in the recipe), copies with roles and tokens; marked as stale while
    /// the hub is locked. `None` when it is neither declared nor running.
    #[must_use]
    pub fn child_lookup(&self, id: &ChildId) -> Option<ChildLookup> {
        self.0.view.lookup(id)
    }

    /// The children that run, with their copies, sorted by name; marked as stale while the hub is locked.
    #[must_use]
    pub fn process_list(&self, scope: ListScope) -> ChildList {
        let only = (scope == ListScope::Local).then(|| self.member());
        self.0.view.list(only, |_| true)
    }

    /// The children that run and carry this text under the metadata key `tag`, with their copies, sorted by name; marked
    /// as stale while the hub is locked.
    #[must_use]
    pub fn tag_query(&self, tag: &str) -> ChildList {
        self.0.view.list(None, |spec| spec.metadata.tag() == Some(tag))
    }

    /// Everything that is known, by name; each marked as stale while the hub is locked.
    #[must_use]
    pub fn registry_dump(&self) -> BTreeMap<ChildId, ChildLookup> {
        self.0.view.dump()
    }

    /// How many children are declared or running.
    #[must_use]
    pub fn child_count(&self) -> usize {
        self.0.view.len()
    }

    /// How many copies run on each node that runs any, as this node sees it.
    #[must_use]
    pub fn copies_by_node(&self) -> BTreeMap<NodeId, usize> {
        self.0.view.copies().into_iter().map(|(member, count)| (member.node, count)).collect()
    }

    /// The nodes of the view, sorted; with or without this one.
    #[must_use]
    pub fn nodes(&self, include_local: bool) -> Vec<NodeId> {
        let local = &self.member().node;
        let members = self.0.view.members();
        members.iter().map(|member| &member.node).filter(|node| include_local || *node != local).cloned().collect()
    }

    /// The members of the view, this node included, sorted by name.
    #[must_use]
    pub fn members(&self) -> Arc<[Member]> {
        self.0.view.members()
    }

    /// Whether operations are possible: false once this node has left the hub or was shut down.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands().is_closed() && self.0.phase.borrow().is_some()
    }

    /// Whether the hub has lost its quorum, or not had it yet, and refuses changes; what lookups answer may be out of
    /// date meanwhile, and says so where it can. Never so without a quorum strategy.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.view.is_locked()
    }

    /// Whether this node is cut off from its quorum, so that none of the hub's children run here: another word for
    /// [`Hub::is_locked`].
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        self.is_locked()
    }

    /// Waits until this node takes part in the hub: it knows what is declared, and may be given children.
    ///
    /// # Errors
    /// When the node leaves or was shut down before that.
    pub async fn joined(&self) -> Result<(), Closed> {
        let mut phase = self.0.phase.subscribe();
        let known = phase.wait_for(|phase| *phase != Some(Phase::Joining)).await.map_err(|_| Closed)?;
        if *known == Some(Phase::Ready) { Ok(()) } else { Err(Closed) }
    }

    /// What happens in this hub on this node, from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.0.events.subscribe())
    }
}

#[cfg(feature = "json")]
impl Hub {
    /// A kind's arguments, from JSON.
    ///
    /// # Errors
    /// When the kind is unknown here or the JSON does not fit; the text says which and where.
    pub fn json_args(&self, kind: &Kind, json: &serde_json::Value) -> Result<Bytes, crate::error::JsonError> {
        self.0.kinds.json(kind)?.args_from(json)
    }

    /// A kind's arguments, as JSON.
    ///
    /// # Errors
    /// When the kind is unknown here or the bytes are none of its.
    pub fn args_json(&self, kind: &Kind, args: &[u8]) -> Result<serde_json::Value, crate::error::JsonError> {
        self.0.kinds.json(kind)?.args_to(args)
    }

    /// A message to a child of a kind, from JSON: for [`Hub::call_raw`] and [`Hub::cast_raw`].
    ///
    /// # Errors
    /// When the kind is unknown here or the JSON does not fit; the text says which and where.
    pub fn message_from_json(&self, kind: &Kind, json: &serde_json::Value) -> Result<Bytes, crate::error::JsonError> {
        self.0.kinds.json(kind)?.message_from(json)
    }

    /// A reply from a child of a kind, as JSON.
    ///
    /// # Errors
    /// When the kind is unknown here or the bytes are none of its.
    pub fn reply_to_json(&self, kind: &Kind, reply: &[u8]) -> Result<serde_json::Value, crate::error::JsonError> {
        self.0.kinds.json(kind)?.reply_to(reply)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("id", self.id()).field("member", self.member()).finish_non_exhaustive()
    }
}

/// A hub in the making: register kinds, then start it.
#[derive(Debug)]
#[must_use = "the hub does not exist until it is started"]
pub struct HubBuilder {
    node: Arc<NodeShared>,
    config: HubConfig,
    kinds: Result<Kinds, OpenHubError>,
    hooks: Vec<Change>,
    children: Vec<ChildSpec>,
}

impl HubBuilder {
    pub(crate) fn new(node: Arc<NodeShared>, config: HubConfig) -> Self {
        let config = contained(config);
        Self { node, config, kinds: Ok(Kinds::default()), hooks: Vec::new(), children: Vec::new() }
    }

    /// Registers a kind of child: recipes that name [`Child::KIND`] can be started on this node from the hub's start.
    pub fn child<C: Child>(mut self) -> Self {
        self.kinds = self.kinds.and_then(|kinds| kinds.with::<C>());
        self
    }

    /// Registers handlers of one kind of hook event that miss nothing from the hub's start on.
    pub fn hook_handlers(mut self, kind: HookKind, handlers: impl IntoIterator<Item = HookHandler>) -> Self {
        self.hooks.push(Change::Register(kind, handlers.into_iter().collect()));
        self
    }

    /// Children that every node that opens the hub wants to run: they are started once this node takes part in the
    /// hub, those that exist already are left alone. What fails is logged, and told as hook events.
    pub fn static_children(mut self, children: impl IntoIterator<Item = ChildSpec>) -> Self {
        self.children.extend(children);
        self
    }

    /// Has this node take part in the hub.
    ///
    /// # Errors
    /// See [`OpenHubError`]; the node is as it was.
    pub async fn start(self) -> Result<Hub, OpenHubError> {
        let Self { node, config, kinds, hooks: changes, children } = self;
        config.check()?;
        let hooks = Hooks::default();
        changes.into_iter().try_for_each(|change| hooks.change(change))?;
        let view = ReadView::new(node.map_seed, node.member.clone());
        let (events, _) = broadcast::channel(EVENT_ROOM);
        let phase = watch::Sender::new(Some(Phase::Joining));
        let hub = Hub(Arc::new(HubShared { config, node, kinds: kinds?, view, events, hooks, phase }));
        let (answer, opened) = oneshot::channel();
        hub.commands().send(Command::Open { hub: hub.clone(), answer }).await.map_err(|_| Closed)?;
        opened.await.map_err(|_| Closed)??;
        if !children.is_empty() {
            hub.runtime().spawn(Box::pin(start_static(hub.clone(), children)));
        }
        Ok(hub)
    }
}

/// Starts a hub's static children that do not exist yet.
async fn start_static(hub: Hub, children: Vec<ChildSpec>) {
    if hub.joined().await.is_err() {
        return;
    }
    let started = hub.start_children(children).check_existing(false).disable_logging(true).await;
    match started {
        Ok(result) => {
            let failed = |failure: &&Failure| failure.reason != ChildFailure::AlreadyStarted;
            for failure in result.errors.iter().filter(failed) {
                let (id, reason) = (&failure.id, &failure.reason);
                tracing::error!(hub = %hub.id(), %id, %reason, "a static child does not run");
            }
        }
        Err(error) => tracing::error!(hub = %hub.id(), %error, "the static children were not started"),
    }
}

/// The hubs of a node by name.
#[derive(Debug, Default)]
pub(crate) struct HubSlot(BTreeMap<HubId, Hub>);

impl HubSlot {
    pub(crate) fn get(&self, id: &HubId) -> Option<&Hub> {
        self.0.get(id)
    }
    pub(crate) fn values(&self) -> btree_map::Values<'_, HubId, Hub> {
        self.0.values()
    }
    pub(crate) fn insert(&mut self, hub: Hub) {
        self.0.insert(hub.id().clone(), hub);
    }
    pub(crate) fn remove(&mut self, id: &HubId) -> Option<Hub> {
        self.0.remove(id)
    }
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
