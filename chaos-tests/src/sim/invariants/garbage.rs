//! I7: when it is quiet and everything was swept, the object store holds what the catalog names,
//! and nothing else. The simulated store keeps an upload as the object that it becomes, so uploads
//! that nobody ended are found too.

use proto::ObjectKey;

/// What the store holds that `is_named` does not hold of.
pub(crate) fn garbage(
    objects: impl IntoIterator<Item = ObjectKey>,
    is_named: impl Fn(ObjectKey) -> bool,
) -> Vec<ObjectKey> {
    objects.into_iter().filter(|object| !is_named(*object)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_no_fact_names_is_found() {
        let [linked, left] = [1, 2].map(ObjectKey::from_random);
        assert_eq!(garbage([linked, left], |object| object == linked), [left]);
        assert_eq!(garbage([linked], |object| object == linked), []);
        assert_eq!(garbage([], |_| false), []);
    }
}
