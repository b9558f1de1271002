//! Members with the same name: of these only the last counts.

use std::collections::HashMap;

use super::Name;
use super::nodes::Nodes;

/// Objects of up to this many members have their names compared one by one.
const FEW: usize = 32;

/// Equal for names that are written alike, and mostly different for others.
pub(super) fn signature(name: &[u8]) -> u64 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    };
    let end = &name[name.len().saturating_sub(8)..];
    let ends = word(name) ^ word(end).rotate_left(23);
    ends.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ name.len() as u64
}

/// Whether no two are equal. May change their order.
pub(super) fn all_differ(signatures: &mut [u64]) -> bool {
    if signatures.len() > FEW {
        signatures.sort_unstable();
        return signatures.windows(2).all(|pair| pair[0] != pair[1]);
    }
    let mut rest = &*signatures;
    while let [first, others @ ..] = rest {
        if others.contains(first) {
            return false;
        }
        rest = others;
    }
    true
}

/// The nodes of members that are not the last of their name; the members are those from `first` on.
pub(super) fn doubles(text: &[u8], nodes: &Nodes, first: usize) -> Vec<u32> {
    let mut names = Vec::new();
    let mut at = first;
    while at < nodes.len() {
        names.push((Name::before(text, nodes.start(at as u32)), at as u32));
        at += nodes.size(at as u32) as usize;
    }
    if names.len() <= FEW {
        let again = |i: usize| names[i + 1..].iter().any(|(name, _)| *name == names[i].0);
        let doubles = (0..names.len()).filter(|i| again(*i));
        return doubles.map(|i| names[i].1).collect();
    }
    let mut last = HashMap::with_capacity(names.len());
    let mut doubles: Vec<u32> = (names.iter())
        .filter_map(|(name, at)| last.insert(name.shortest(), *at))
        .collect();
    doubles.sort_unstable();
    doubles
}
