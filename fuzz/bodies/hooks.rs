//! Handlers of hook events are registered and cancelled, in groups, and children are started: which handlers run, in which
//! order, what each alter handler is given, who is refused and what is declared is what a reference says, whatever some
//! of them do wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arbitrary::Unstructured;
use process_hub::core::hook::HookKind;
use process_hub::core::spec::{ChildSpec, MetaValue};
use process_hub::{HandlerInfo, HookError, HookHandler, Hub};

/// The kinds of one start, in the order in which it tells them.
const KINDS: [HookKind; 4] =
    [HookKind::PreChildrenStart, HookKind::ChildDataAlter, HookKind::PostChildrenStart, HookKind::ChildRegistered];

/// What a handler does once it has noted that it runs.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// What it should. An alter handler puts its id behind those before it.
    Ends,
    Hangs,
    Panics,
    /// An alter handler answers with another child's recipe.
    Swaps,
}

/// A handler, as the reference knows it.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    priority: i32,
    alters: bool,
    deed: Deed,
}

/// Who ran, and of an alter handler what it was given.
type Notes = Arc<Mutex<Vec<String>>>;

fn by(spec: &ChildSpec) -> String {
    match spec.metadata.get("by") {
        Some(MetaValue::Text(text)) => text.to_string(),
        _ => String::new(),
    }
}

fn note(notes: &Notes, kind: HookKind, id: &str, given: &str) {
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{kind} {id} {given}"));
}

impl Known {
    fn draw(bytes: &mut Unstructured<'_>, kind: HookKind, panics: bool) -> Self {
        let mut below = |end: u8| bytes.int_in_range(0..=end).unwrap_or(0);
        let alters = (kind == HookKind::ChildDataAlter) != (below(15) == 15);
        let deed = match below(7) {
            1 => Deed::Hangs,
            2 if panics => Deed::Panics,
            3 if alters => Deed::Swaps,
            _ => Deed::Ends,
        };
        Self { id: format!("h{}", below(7)), priority: i32::from(below(4)) - 2, alters, deed }
    }

    fn handler(&self, kind: HookKind, notes: &Notes, other: &ChildSpec) -> HookHandler {
        let (notes, id, deed, other) = (notes.clone(), self.id.clone(), self.deed, other.clone());
        let handler = if self.alters {
            HookHandler::alter(&self.id, move |_, mut spec: ChildSpec| {
                note(&notes, kind, &id, &by(&spec));
                let (id, other) = (id.clone(), other.clone());
                async move {
                    misbehave(deed).await;
                    spec.metadata = spec.metadata.clone().with("by", &(by(&spec) + &id));
                    if matches!(deed, Deed::Swaps) { other } else { spec }
                }
            })
        } else {
            HookHandler::new(&self.id, move |_, _| {
                note(&notes, kind, &id, "");
                misbehave(deed)
            })
        };
        handler.priority(self.priority).timeout(Duration::from_millis(10))
    }
}

async fn misbehave(deed: Deed) {
    match deed {
        Deed::Hangs => std::future::pending().await,
        Deed::Panics => panic!("a handler that was told to"),
        Deed::Ends | Deed::Swaps => {}
    }
}

/// The handlers of each kind, in the order in which they run.
#[derive(Default)]
struct Reference(BTreeMap<HookKind, Vec<Known>>);

impl Reference {
    fn register(&mut self, kind: HookKind, group: &[Known]) -> Result<(), HookError> {
        if let Some(wrong) = group.iter().find(|known| known.alters != (kind == HookKind::ChildDataAlter)) {
            return Err(HookError::WrongKind { kind, id: wrong.id.as_str().into() });
        }
        let mut taken: BTreeSet<&str> = self.0.get(&kind).into_iter().flatten().map(|known| &*known.id).collect();
        let twice = group.iter().filter(|known| !taken.insert(&known.id)).map(|known| known.id.as_str().into());
        let ids: Vec<_> = twice.collect();
        if !ids.is_empty() {
            return Err(HookError::AlreadyRegistered { kind, ids });
        }
        let all = self.0.entry(kind).or_default();
        for known in group {
            // Behind all of its own priority and above.
            let at = all.iter().position(|other| other.priority < known.priority).unwrap_or(all.len());
            all.insert(at, known.clone());
        }
        Ok(())
    }

    fn cancel(&mut self, kind: HookKind, ids: &[String]) {
        self.0.entry(kind).or_default().retain(|known| !ids.contains(&known.id));
    }

    fn list(&self) -> Vec<(HookKind, String, i32)> {
        let infos =
            self.0.iter().flat_map(|(kind, all)| all.iter().map(|known| (*kind, known.id.clone(), known.priority)));
        infos.collect()
    }

    /// What one start has the handlers note.
    fn start(&self) -> Vec<String> {
        let mut given = String::new();
        let mut notes = Vec::new();
        for kind in KINDS {
            for known in self.0.get(&kind).into_iter().flatten() {
                notes.push(format!("{kind} {} {}", known.id, if known.alters { &given } else { "" }));
                if known.alters && matches!(known.deed, Deed::Ends) {
                    given += &known.id;
                }
            }
        }
        notes
    }
}

/// One run, on a hub of its own; `child` makes the recipe of a child by this name. With `panics`, some handlers do.
pub(crate) async fn run(hub: &Hub, bytes: &[u8], panics: bool, child: impl Fn(&str) -> ChildSpec) {
    let mut bytes = Unstructured::new(bytes);
    let (notes, mut reference) = (Notes::default(), Reference::default());
    let other = child("other");
    for turn in 0..40 {
        if bytes.is_empty() {
            break;
        }
        let kind = *bytes.choose(&KINDS).unwrap_or(&KINDS[0]);
        match bytes.int_in_range(0..=4).unwrap_or(0) {
            0..=2 => {
                let size = bytes.int_in_range(1..=3).unwrap_or(1);
                let group: Vec<_> = (0..size).map(|_| Known::draw(&mut bytes, kind, panics)).collect();
                let handlers = group.iter().map(|known| known.handler(kind, &notes, &other));
                let was = hub.register_hook_handlers(kind, handlers).await;
                assert_eq!(was, reference.register(kind, &group), "{group:?}");
            }
            3 => {
                let ids: Vec<_> = (0..2).map(|_| format!("h{}", bytes.int_in_range(0..=7).unwrap_or(0))).collect();
                hub.cancel_hook_handlers(kind, ids.iter().map(String::as_str)).await.expect("it runs");
                reference.cancel(kind, &ids);
            }
            _ => {
                let spec = child(&format!("c{turn}"));
                let declared = spec.clone();
                hub.start_child(spec).await.expect("it runs").expect("it is started");
                // Time passes only while nobody has anything to do.
                tokio::time::sleep(Duration::from_secs(10)).await;
                let noted = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
                assert_eq!(noted, reference.start(), "{:?}", reference.0);
                let is = hub.child_lookup(&declared.id).and_then(|lookup| lookup.spec).expect("it is declared");
                assert_eq!(*is, declared, "what is declared stays as it is");
            }
        }
        let listed = |info: HandlerInfo| (info.kind, info.id.to_string(), info.priority);
        assert_eq!(hub.hook_handlers().into_iter().map(listed).collect::<Vec<_>>(), reference.list());
    }
}
