//! That patches are right, whoever made them, and how large they are. Outside every timed section.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::case::Case;

/// What the patches of a case's pairs so far come to.
#[derive(Clone, Copy, Default)]
pub struct Size {
    pub pairs: usize,
    /// Patches, and documents where there is none.
    pub patches: usize,
    /// The smaller of patch and document.
    pub sent: usize,
    /// The documents, compact.
    pub whole: usize,
    /// In patches; a document sent whole has none.
    pub operations: usize,
}

impl Size {
    fn count(&mut self, patch: Option<&Bytes>, whole: usize) {
        let length = patch.map_or(whole, Bytes::len);
        self.pairs += 1;
        self.patches += length;
        self.sent += length.min(whole);
        self.whole += whole;
        self.operations += patch.map_or(0, |patch| {
            let operations: Vec<IgnoredAny> = serde_json::from_slice(patch).expect("verified");
            operations.len()
        });
    }
}

/// Applies each patch with the `json-patch` crate to the document before it, and counts: the
/// sizes after each pair.
///
/// # Errors
/// A sentence, for the first patch that does not lead to the next document.
pub fn verify(case: &Case, patches: &[Option<Bytes>]) -> Result<Vec<Size>, String> {
    let parse = |body: &Bytes| -> Value { serde_json::from_slice(body).expect("JSON") };
    let mut held = parse(&case.bodies[0]);
    let mut size = Size::default();
    let mut sizes = Vec::with_capacity(patches.len());
    for (pair, (patch, body)) in patches.iter().zip(&case.bodies[1..]).enumerate() {
        let wanted = parse(body);
        match patch {
            Some(patch) => {
                apply(&mut held, patch, &wanted)
                    .map_err(|why| format!("{}, pair {}: the patch {why}", case.name, pair + 1))?;
            }
            None => held.clone_from(&wanted),
        }
        let whole = serde_json::to_vec(&wanted).expect("JSON").len();
        size.count(patch.as_ref(), whole);
        sizes.push(size);
    }
    Ok(sizes)
}

fn apply(held: &mut Value, patch: &[u8], wanted: &Value) -> Result<(), String> {
    let operations: json_patch::Patch =
        serde_json::from_slice(patch).map_err(|error| format!("is no JSON Patch: {error}"))?;
    json_patch::patch_unsafe(held, &operations)
        .map_err(|error| format!("does not apply: {error}"))?;
    match same(held, wanted) {
        true => Ok(()),
        false => Err("gives another document".to_owned()),
    }
}

/// Equal as JSON: JavaScript does not know whether a number was 1 or 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |name: &String, value| b.get(name).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(|(name, value)| in_b(name, value))
        }
        _ => a == b,
    }
}
