//! What readers see.

use super::*;
use crate::testing::{member, token};

fn id(name: &str) -> ChildId {
    ChildId::new(name).unwrap()
}

fn lookup(name: &str, on: &[(&Member, u64)]) -> Option<Lookup> {
    let kind = process_hub_core::id::Kind::new("k").unwrap();
    let place = |(member, sequence): &(&Member, u64)| Placement {
        pid: Pid { node: member.node.clone(), boot: member.boot, sequence: *sequence },
        role: Role::Active,
        token: token(*sequence),
    };
    let spec = Some(Arc::new(ChildSpec::new(id(name), kind, Vec::new())));
    Some(Lookup { spec, placements: on.iter().map(place).collect() })
}

#[test]
fn it_answers_what_was_put_in() {
    let (n1, n2) = (member("n1", 1), member("n2", 5));
    let view = ReadView::new(3, n1.clone());
    view.install(vec![n1.clone(), n2.clone()], &[n1.clone(), n2.clone()]);
    for (name, on) in [("a", &n1), ("b", &n2)] {
        view.apply(&id(name), lookup(name, &[(on, 7)]));
    }
    let put_in = lookup("b", &[(&n2, 7)]).map(|lookup| marked(lookup, false));
    assert_eq!(view.lookup(&id("b")), put_in, "token and issuer survive");
    assert_eq!(view.pid(&id("a")).unwrap().to_string(), "n1/1/7");
    assert_eq!(view.list(Some(&n1), |_| true).len(), 1);
    assert_eq!(view.list(None, |_| true).len(), 2);
    assert_eq!(view.copies(), BTreeMap::from([(n1.clone(), 1), (n2.clone(), 1)]));
    view.apply(&id("a"), None);
    assert_eq!((view.pid(&id("a")), view.lookup(&id("a")), view.len()), (None, None, 1));
}

#[test]
fn a_member_that_left_is_never_shown_even_before_its_rows_are_gone() {
    let (n1, n2) = (member("n1", 1), member("n2", 5));
    let view = ReadView::new(3, n1.clone());
    view.install(vec![n1.clone(), n2.clone()], &[n1.clone(), n2.clone()]);
    view.apply(&id("a"), lookup("a", &[(&n2, 7), (&n1, 8)]));
    view.apply(&id("b"), lookup("b", &[(&n2, 9)]));
    view.install(vec![n1.clone()], std::slice::from_ref(&n1));
    assert_eq!(view.pids(&id("a")).len(), 1);
    assert_eq!(view.pid(&id("b")), None);
    assert_eq!(view.lookup(&id("b")).unwrap().placements, [], "it is still declared");
    // It returns, and its old rows stay hidden until they are told anew.
    view.install(vec![n1.clone(), n2.clone()], &[n1, n2.clone()]);
    assert_eq!(view.pid(&id("b")), None);
    view.apply(&id("b"), lookup("b", &[(&n2, 9)]));
    assert_eq!(view.pid(&id("b")).unwrap().sequence, 9);
}

#[test]
fn what_is_read_under_a_lock_is_marked() {
    let n1 = member("n1", 1);
    let view = ReadView::new(3, n1.clone());
    view.apply(&id("a"), lookup("a", &[(&n1, 7)]));
    let marks = || (view.lookup(&id("a")).unwrap().stale, view.list(None, |_| true).stale, view.dump()[&id("a")].stale);
    assert_eq!(marks(), (false, false, false));
    view.lock(true);
    view.lock(true);
    assert!(view.is_locked());
    assert_eq!(marks(), (true, true, true));
    assert!(view.list(None, |_| false).stale, "nothing found may be out of date, too");
    view.lock(false);
    assert!(!view.is_locked());
    assert_eq!(marks(), (false, false, false));
    // A lock that begins while something is read, or comes and goes.
    assert!(view.marked(|| view.lock(true)).1);
    view.lock(false);
    let briefly = || {
        view.lock(true);
        view.lock(false);
    };
    assert!(view.marked(briefly).1);
}

#[test]
fn a_reader_beside_the_driver_sees_no_row_of_a_locked_hub_without_its_mark() {
    let n1 = member("n1", 1);
    let view = ReadView::new(3, n1.clone());
    let rows = [lookup("a", &[(&n1, 7)]), lookup("a", &[(&n1, 8)])];
    view.apply(&id("a"), rows[0].clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..50_000 {
                view.lock(true);
                view.apply(&id("a"), rows[1].clone());
                view.apply(&id("a"), rows[0].clone());
                view.lock(false);
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            // A list takes long enough for locks to come and go meanwhile.
            let seen = view.list(None, |_| true);
            assert!(seen.stale || seen[0].1[0].sequence == 7, "a row of the locked hub, unmarked");
        }
    });
}
