//! Events, lineages and documents as bytes.
//!
//! Promises that whatever is not what was written reads as nothing: each text ends in a checksum
//! (CRC-32), since SQLite has none for its pages.

use bytes::{Buf, BufMut, Bytes};

use crate::core::change::ItemEvent;
use crate::core::event::{ItemKind, Timestamp};
use crate::core::id::Epoch;
use crate::core::lineage::Lineage;
use crate::core::past::Kept;

const ABSENT: u32 = u32::MAX;
const NEVER: u64 = u64::MAX;

/// One event: which it is, how many were written before it, and its forms.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::backplane) struct Written {
    pub(in crate::backplane) sequence: u64,
    pub(in crate::backplane) count: u64,
    pub(in crate::backplane) kept: Kept,
}

impl Written {
    pub(in crate::backplane) fn encode(&self) -> Vec<u8> {
        let Kept {
            patch,
            merge,
            items,
            at,
        } = &self.kept;
        let mut to = Vec::with_capacity(64 + patch.as_ref().map_or(0, Bytes::len));
        to.put_u64(self.sequence);
        to.put_u64(self.count);
        to.put_u64(at.map_or(NEVER, |at| at.0));
        text(&mut to, patch.as_ref());
        text(&mut to, merge.as_ref());
        match items {
            None => to.put_u32(ABSENT),
            Some(items) => {
                to.put_u32(length(items.len()));
                for item in items {
                    to.put_u8(item.kind as u8);
                    text(&mut to, Some(&item.data));
                }
            }
        }
        sealed(to)
    }

    pub(in crate::backplane) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut from = unsealed(bytes)?;
        let (sequence, count) = (from.try_get_u64().ok()?, from.try_get_u64().ok()?);
        let at = Some(from.try_get_u64().ok()?).filter(|at| *at != NEVER);
        let patch = read_text(&mut from)?;
        let merge = read_text(&mut from)?;
        let items = match from.try_get_u32().ok()? {
            ABSENT => None,
            count => Some((0..count).map(|_| item(&mut from)).collect::<Option<_>>()?),
        };
        let kept = Kept {
            patch,
            merge,
            items,
            at: at.map(Timestamp),
        };
        from.is_empty().then_some(Self {
            sequence,
            count,
            kept,
        })
    }
}

fn item(from: &mut Bytes) -> Option<ItemEvent> {
    let kind = match from.try_get_u8().ok()? {
        0 => ItemKind::Added,
        1 => ItemKind::Changed,
        2 => ItemKind::Removed,
        _ => return None,
    };
    let data = read_text(from)??;
    Some(ItemEvent { kind, data })
}

pub(in crate::backplane) fn encode_lineage(lineage: &Lineage) -> Vec<u8> {
    let mut to = Vec::new();
    for (epoch, last) in lineage.earlier() {
        to.put_u64(epoch.bits());
        to.put_u64(*last);
    }
    to.put_u64(lineage.current().bits());
    sealed(to)
}

pub(in crate::backplane) fn decode_lineage(bytes: Vec<u8>) -> Option<Lineage> {
    let mut from = unsealed(bytes)?;
    let mut earlier = Vec::new();
    while from.len() >= 16 {
        let epoch = Epoch::from_random(from.get_u64());
        earlier.push((epoch, from.get_u64()));
    }
    let current = Epoch::from_random(from.try_get_u64().ok()?);
    Lineage::from_parts(earlier, current).filter(|_| from.is_empty())
}

/// A document as of the event with this sequence.
pub(in crate::backplane) fn encode_document(sequence: u64, document: &[u8]) -> Vec<u8> {
    let mut to = Vec::with_capacity(document.len() + 12);
    to.put_u64(sequence);
    to.put_slice(document);
    sealed(to)
}

pub(in crate::backplane) fn decode_document(bytes: Vec<u8>) -> Option<(u64, Bytes)> {
    let mut from = unsealed(bytes)?;
    Some((from.try_get_u64().ok()?, from))
}

fn text(to: &mut Vec<u8>, text: Option<&Bytes>) {
    match text {
        None => to.put_u32(ABSENT),
        Some(text) => {
            to.put_u32(length(text.len()));
            to.put_slice(text);
        }
    }
}

fn read_text(from: &mut Bytes) -> Option<Option<Bytes>> {
    match from.try_get_u32().ok()? {
        ABSENT => Some(None),
        length => {
            let length = usize::try_from(length).ok()?;
            (length <= from.len()).then(|| Some(from.split_to(length)))
        }
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: documents are shorter than 4 GB")
}

fn sealed(mut to: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&to);
    to.put_u32(sum);
    to
}

fn unsealed(bytes: Vec<u8>) -> Option<Bytes> {
    let mut bytes = Bytes::from(bytes);
    let mut sum = bytes.split_off(bytes.len().checked_sub(4)?);
    (crc32fast::hash(&bytes) == sum.get_u32()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Written {
        let item = |kind, data: &'static str| ItemEvent {
            kind,
            data: data.into(),
        };
        Written {
            sequence: 7,
            count: 9,
            kept: Kept {
                patch: Some("[1]".into()),
                merge: None,
                items: Some(vec![
                    item(ItemKind::Added, "{}"),
                    item(ItemKind::Changed, ""),
                    item(ItemKind::Removed, "{\"key\":1}"),
                ]),
                at: Some(Timestamp(3)),
            },
        }
    }

    #[test]
    fn what_was_written_reads_back() {
        for kept in [Kept::default(), written().kept] {
            let written = Written { kept, ..written() };
            assert_eq!(Written::decode(written.encode()), Some(written));
        }
        let earlier = vec![(Epoch::from_random(1), 5), (Epoch::from_random(2), 6)];
        let lineage = Lineage::from_parts(earlier, Epoch::from_random(3)).unwrap();
        assert_eq!(decode_lineage(encode_lineage(&lineage)), Some(lineage));
        let document = decode_document(encode_document(4, b"{}"));
        assert_eq!(document, Some((4, Bytes::from_static(b"{}"))));
    }

    #[test]
    fn what_was_not_written_reads_as_nothing() {
        let good = written().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(Written::decode(bad), None, "{at}");
            assert_eq!(Written::decode(good[..at].to_vec()), None, "{at}");
        }
        // A sum alone proves little of what somebody else wrote.
        for cut in 0..good.len() - 4 {
            assert_eq!(Written::decode(sealed(good[..cut].to_vec())), None, "{cut}");
        }
        assert_eq!(decode_lineage(sealed(vec![0; 12])), None);
    }
}
