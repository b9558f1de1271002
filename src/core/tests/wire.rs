//! Frames through a parser written from the WHATWG text alone, steps of section 9.2.6.

use bytes::Bytes;
use proptest::prelude::*;

use crate::core::event::EventName;
use crate::core::id::{Epoch, EventId};
use crate::core::sse::gzip::Checksum;
use crate::core::sse::{Coding, Frame, Kind, Wire};

/// What a browser would dispatch: type, data, last event id.
type Dispatched = (String, String, String);

/// The event stream interpreted as in "9.2.6 Interpreting an event stream".
fn interpret(stream: &str) -> (Vec<Dispatched>, Option<u64>) {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let (mut data, mut kind, mut id) = (String::new(), String::new(), String::new());
    let (mut events, mut retry) = (Vec::new(), None);
    for line in stream.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let name = match kind.as_str() {
                    "" => "message".to_owned(),
                    name => name.to_owned(),
                };
                events.push((name, std::mem::take(&mut data), id.clone()));
            }
            kind.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut kind),
            "data" => data = data + value + "\n",
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = value.parse().ok();
            }
            _ => {}
        }
    }
    (events, retry)
}

/// Undoes the chunked transfer coding (RFC 9112 section 7.1).
fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        let rest = &body[end + 2..];
        if size == 0 {
            return (rest == b"\r\n").then_some(plain);
        }
        plain.extend_from_slice(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn name() -> impl Strategy<Value = EventName> {
    prop_oneof![any::<String>(), "[ :a-z\u{feff}\u{2028}]{0,9}"]
        .prop_filter_map("a name", |text| EventName::new(text).ok())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let tree = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
        ]
    });
    tree.prop_map(|value| {
        let text = value.to_string();
        let ours = crate::core::json::parse(text.as_bytes()).expect("JSON");
        String::from_utf8(ours.encode()).expect("text")
    })
}

fn id() -> impl Strategy<Value = Option<EventId>> {
    prop::option::of(
        (any::<u64>(), 1..=u64::MAX).prop_map(|(epoch, sequence)| EventId {
            epoch: Epoch::from_random(epoch),
            sequence,
        }),
    )
}

fn last_chunk() -> Bytes {
    Wire::CHUNKED.closing(&Checksum::default())
}

proptest! {
    #[test]
    fn a_browser_dispatches_what_was_framed(
        events in prop::collection::vec((name(), id(), json()), 1..6),
        retry in any::<u64>(),
    ) {
        let (mut chunked, mut plain) = (Vec::new(), Vec::new());
        let mut expected = Vec::new();
        let mut last_id = String::new();
        let mut put = |frame: &Frame| -> Result<(), TestCaseError> {
            chunked.extend_from_slice(&frame.bytes(Wire::CHUNKED));
            let payload = frame.bytes(Wire::PLAIN);
            prop_assert_eq!(payload.len(), frame.payload_len(Coding::Identity));
            plain.extend_from_slice(&payload);
            Ok(())
        };
        put(&Frame::retry(retry))?;
        for (name, id, data) in &events {
            let frame = Frame::event(Kind::Snapshot, name, *id, data.as_bytes());
            prop_assert_eq!(frame.data_len(), data.len());
            put(&frame)?;
            put(&Frame::comment())?;
            if let Some(id) = id {
                last_id = id.to_string();
                prop_assert_eq!(EventId::parse(last_id.as_bytes()), Some(*id));
            }
            let kind = match name.as_str() {
                "" => "message",
                name => name,
            };
            expected.push((kind.to_owned(), data.clone(), last_id.clone()));
        }
        chunked.extend_from_slice(&last_chunk());
        prop_assert_eq!(dechunk(&chunked), Some(plain.clone()));
        let stream = String::from_utf8(plain).expect("text");
        prop_assert_eq!(interpret(&stream), (expected, Some(retry)));
    }

    #[test]
    fn only_a_whole_change_moves_the_position(
        events in prop::collection::vec((name(), json()), 0..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let id = EventId { epoch: Epoch::from_random(7), sequence: 3 };
        let parts: Vec<_> = events
            .iter()
            .map(|(name, data)| (Kind::Changed, name, data.as_bytes()))
            .collect();
        let frame = Frame::change(&parts, id);
        prop_assert_eq!(dechunk(&[frame.bytes(Wire::CHUNKED), last_chunk()].concat()),
            Some(frame.bytes(Wire::PLAIN).to_vec()));
        let stream = String::from_utf8(frame.bytes(Wire::PLAIN).to_vec()).expect("text");
        // An event of the client's own shows which id it holds then.
        let (dispatched, _) = interpret(&format!("{stream}data: x\n\n"));
        prop_assert_eq!(dispatched.len(), events.len() + 1);
        prop_assert_eq!(&dispatched[events.len()].2, &id.to_string());
        for ((_, told, _), (_, data)) in dispatched.iter().zip(&events) {
            prop_assert_eq!(told, data);
        }
        let blocks: Vec<_> = stream.split_inclusive("\n\n").collect();
        let some = blocks[..cut.index(blocks.len())].concat();
        let (dispatched, _) = interpret(&some);
        prop_assert!(dispatched.iter().all(|(_, _, id)| id.is_empty()));
    }

    #[test]
    fn any_bytes_are_an_id_that_we_wrote_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(id) = EventId::parse(&bytes) {
            prop_assert_eq!(id.to_string().into_bytes(), bytes);
        }
    }
}
