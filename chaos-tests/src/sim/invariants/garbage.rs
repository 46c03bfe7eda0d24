//! I6 and I7: when it is quiet and everything was swept, the object store holds what the catalog
//! names, and nothing else. The simulated store keeps an upload as the object that it becomes, so
//! uploads that nobody ended are found too.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::ObjectKey;

/// What the store holds that `is_named` does not hold of.
pub(crate) fn garbage(
    objects: impl IntoIterator<Item = ObjectKey>,
    is_named: impl Fn(ObjectKey) -> bool,
) -> Vec<ObjectKey> {
    objects.into_iter().filter(|object| !is_named(*object)).collect()
}

/// Which of the objects that are `named`, with the bytes that were pushed, the store does not hold
/// so.
pub(crate) fn dangling(
    named: impl IntoIterator<Item = (ObjectKey, Option<Bytes>)>,
    held: &BTreeMap<ObjectKey, Bytes>,
) -> Vec<ObjectKey> {
    let is_lacking = |(object, pushed): &(ObjectKey, Option<Bytes>)| {
        held.get(object).is_none_or(|bytes| Some(bytes) != pushed.as_ref())
    };
    named.into_iter().filter(is_lacking).map(|(object, _)| object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_a_fact_names_and_nobody_holds_is_found() {
        let [kept, gone, shorter] = [1, 2, 3].map(ObjectKey::from_random);
        let whole = Bytes::from_static(b"whole");
        let held = BTreeMap::from([(kept, whole.clone()), (shorter, whole.slice(..3))]);
        let named = [kept, gone, shorter].map(|object| (object, Some(whole.clone())));
        assert_eq!(dangling(named, &held), [gone, shorter]);
        assert_eq!(dangling([(kept, None)], &held), [kept], "bytes that nobody has pushed");
    }

    #[test]
    fn an_object_that_no_fact_names_is_found() {
        let [linked, left] = [1, 2].map(ObjectKey::from_random);
        assert_eq!(garbage([linked, left], |object| object == linked), [left]);
        assert_eq!(garbage([linked], |object| object == linked), []);
        assert_eq!(garbage([], |_| false), []);
    }
}
