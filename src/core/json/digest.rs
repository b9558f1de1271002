//! A hash that agrees with equality.

use std::hash::{BuildHasher, Hasher};

use super::Json;

impl Json {
    /// A hash under `state`; equal values, however written or ordered, have equal digests.
    ///
    /// With a keyed `state` such as [`std::hash::RandomState`] an upstream cannot aim for
    /// collisions.
    pub fn digest(&self, state: &impl BuildHasher) -> u64 {
        match self {
            Json::Null => state.hash_one(0u8),
            Json::Bool(value) => state.hash_one((1u8, value)),
            Json::Number(number) => state.hash_one((2u8, number)),
            Json::String(string) => state.hash_one((3u8, string)),
            Json::Array(items) => {
                let mut hasher = state.build_hasher();
                hasher.write_u8(4);
                items
                    .iter()
                    .for_each(|item| hasher.write_u64(item.digest(state)));
                hasher.finish()
            }
            Json::Object(members) => {
                // A sum does not depend on the order of the members.
                let members = members
                    .iter()
                    .map(|(name, value)| state.hash_one((5u8, name, value.digest(state))));
                state.hash_one((6u8, members.fold(0u64, u64::wrapping_add)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::json::parse;
    use std::hash::RandomState;

    #[test]
    fn equal_documents_have_equal_digests() {
        let state = RandomState::new();
        let digest = |text: &str| parse(text.as_bytes()).unwrap().digest(&state);
        assert_eq!(
            digest(r#"{"a":[1,{"b":1.0,"c":null}]}"#),
            digest(r#"{"a":[1.0,{"c":null,"b":1e0}]}"#)
        );
        for pair in [
            ("[]", "{}"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[1,[2]]"),
        ] {
            assert_ne!(digest(pair.0), digest(pair.1), "{pair:?}");
        }
        assert_ne!(digest(r#"{"a":1,"b":2}"#), digest(r#"{"a":2,"b":1}"#));
    }
}
