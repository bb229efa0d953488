//! A list that nearly always has one element, kept in the room of that one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::ops::{Deref, DerefMut};

/// None, one, or (boxed twice, since it is rare) more. A hub holds two of these a child: of two variants only, so that
/// an element with one pointer needs no word beside it to tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Few<T> {
    One(T),
    #[expect(clippy::box_collection, reason = "one word, for a case that is rare")]
    Other(Option<Box<Vec<T>>>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few::Other(None)
    }
}

impl<T> Few<T> {
    pub(crate) fn insert(&mut self, at: usize, element: T) {
        if self.is_empty() {
            *self = Few::One(element);
        } else {
            self.edit(|list| list.insert(at.min(list.len()), element));
        }
    }

    pub(crate) fn push(&mut self, element: T) {
        self.insert(self.len(), element);
    }

    /// Takes out the first element that is asked for.
    pub(crate) fn take(&mut self, which: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.iter().position(which)?;
        match mem::take(self) {
            Few::One(element) => Some(element),
            other @ Few::Other(_) => {
                *self = other;
                self.edit(|list| Some(list.remove(at)))
            }
        }
    }

    fn edit<R>(&mut self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut list = match mem::take(self) {
            Few::One(element) => Vec::from([element]),
            Few::Other(list) => list.map_or_else(Vec::new, |list| *list),
        };
        let result = change(&mut list);
        *self = match list.len() {
            0 | 1 => list.pop().map_or_else(Few::default, Few::One),
            _ => Few::Other(Some(Box::new(list))),
        };
        result
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Few::One(element) => core::slice::from_ref(element),
            Few::Other(list) => list.as_ref().map_or(&[], |list| list),
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::One(element) => core::slice::from_mut(element),
            Few::Other(list) => list.as_mut().map_or(&mut [], |list| list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut few = Few::default();
        few.push(2);
        few.insert(0, 1);
        few.push(3);
        assert_eq!(*few, [1, 2, 3]);
        assert_eq!(few.take(|n| *n == 2), Some(2));
        assert_eq!(few.take(|n| *n == 9), None);
        assert_eq!(few.take(|n| *n == 1), Some(1));
        assert_eq!(few, Few::One(3));
        assert_eq!(few.take(|n| *n == 3), Some(3));
        assert!(few.is_empty());
    }

    #[test]
    fn what_a_hub_holds_a_child_is_small() {
        assert!(mem::size_of::<super::super::Record>() <= 64);
    }
}
