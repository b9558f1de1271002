//! What must hold; a panic is a finding.

pub mod configs;
pub mod formats;
pub mod heads;
pub mod pages;
pub mod paths;
pub mod requests;
pub mod streams;

use bytes::Bytes;

use crate::core::document::{Document, Observation, View};
use crate::core::event::Mode;
use crate::core::json::{Json, MAX_DEPTH, Patch, Pattern, Pointer, parse};
use crate::oracle;

/// Ends one body and begins the next.
pub const SEPARATOR: &[u8] = b"\n====\n";

/// One body: taken exactly if serde_json takes it, and written so that it reads back the same.
pub fn body(body: &[u8]) {
    let read = parse(body);
    assert_eq!(read.is_ok(), oracle::accepts(body), "{read:?}");
    let observed = Document::new(View::default()).observe(Bytes::copy_from_slice(body));
    assert_eq!(observed.is_ok(), read.is_ok(), "{observed:?}");
    let (Ok(document), Ok(observed)) = (read, observed) else {
        return;
    };
    let written = document.encode();
    assert_eq!(parse(&written).as_ref(), Ok(&document));
    assert_eq!(document.encoded_len(usize::MAX), Some(written.len()));
    assert!(!written.contains(&b'\n'));
    let Observation::Changed(change) = observed else {
        panic!("a first document is a change");
    };
    assert_eq!(change.snapshot.len(), written.len());
    assert_eq!(change.snapshot.encode(), written);
    assert_eq!(change.patch, None);
    // A body may be a patch, too: no patch can do harm.
    if let Ok(patch) = Patch::parse(body) {
        let mut target = document.clone();
        if patch.apply(&mut target).is_err() {
            assert_eq!(target, document, "unchanged by a patch that does not fit");
        }
        assert!(
            parse(&target.encode()).is_ok(),
            "{MAX_DEPTH} levels at most"
        );
    }
}

/// Successive bodies, which a separator divides, under a view that the first byte chooses.
pub fn bodies(input: &[u8]) {
    if let Some((choice, input)) = input.split_first() {
        successive(&view(*choice), split(input).into_iter().map(<[u8]>::to_vec));
    }
}

/// One body and, after a separator, how the next ones come of it, under a view that the first byte
/// chooses: mostly they are alike over long stretches, as successive polls are.
pub fn edits(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    let mut parts = split(input).into_iter();
    let mut body = parts.next().unwrap_or_default().to_vec();
    let script = parts.next().unwrap_or_default();
    let mut bodies = vec![body.clone()];
    for edit in script.chunks_exact(EDIT).take(64) {
        apply(edit, &mut body);
        // Some edits belong together.
        if edit[0] < 128 {
            bodies.push(body.clone());
        }
    }
    bodies.push(body);
    successive(&view(*choice), bodies);
}

/// How many bytes say one edit: what, where, how long, and where else or what to put there.
const EDIT: usize = 6;

fn apply(edit: &[u8], body: &mut Vec<u8>) {
    const PIECES: [&[u8]; 32] = [
        b"0",
        b"1",
        b"-",
        b".0",
        b"e1",
        b"null",
        b"\"",
        b"\\",
        b",",
        b":",
        b"[",
        b"]",
        b"{",
        b"}",
        b" ",
        b"\n  ",
        b"\\u0061",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b"{}",
        b"[]",
        b"\"\"",
        b",1",
        b"\"id\":1",
        b",{\"id\":2}",
        b"{\"id\":3},",
        b",\"a\":0",
        b"a",
        b"\\ud83d\\ude00",
        b"\\n",
        b"x",
    ];
    let at = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low])) % (body.len() + 1);
    let (start, other) = (at(edit[1], edit[2]), at(edit[4], edit[5]));
    let end = (start + usize::from(edit[3])).min(body.len());
    let piece = PIECES[usize::from(edit[5]) % PIECES.len()];
    match edit[0] % 5 {
        0 => drop(body.splice(start..start, piece.iter().copied())),
        1 => drop(body.splice(start..end, piece.iter().copied())),
        2 => drop(body.drain(start..end)),
        3 => {
            let copied = body[start..end].to_vec();
            body.splice(other..other, copied);
        }
        _ => {
            let moved: Vec<u8> = body.drain(start..end).collect();
            let to = other.min(body.len());
            body.splice(to..to, moved);
        }
    }
    body.truncate(LONGEST);
}

/// Bodies stop growing here.
const LONGEST: usize = 1 << 16;

/// What must hold for any bodies in a row: patches are right, and what is said of a body does not
/// depend on those before it.
fn successive(view: &View, bodies: impl IntoIterator<Item = Vec<u8>>) {
    let mut document = Document::new(view.clone());
    document.want(Mode::ALL.into_iter().collect());
    let mut held: Option<Json> = None;
    for body in bodies {
        let body = Bytes::from(body);
        let stateful = document.observe(body.clone());
        let fresh = Document::new(view.clone()).observe(body.clone());
        if *view == View::default() {
            assert_eq!(fresh.is_ok(), oracle::accepts(&body), "{fresh:?}");
        }
        let stateful = match (stateful, &fresh) {
            (Ok(observation), Ok(_)) => observation,
            (stateful, _) => {
                assert_eq!(stateful.err(), fresh.err(), "the same refusal");
                continue;
            }
        };
        let Ok(Observation::Changed(alone)) = fresh else {
            panic!("a first document is a change");
        };
        let new = parse(&alone.snapshot.encode()).expect("a snapshot is JSON");
        if *view == View::default() {
            assert_eq!(parse(&body).as_ref(), Ok(&new));
        }
        match stateful {
            Observation::Unchanged => assert_eq!(held.as_ref(), Some(&new), "an unseen change"),
            Observation::Changed(change) => {
                assert_ne!(held.as_ref(), Some(&new), "no change");
                assert_eq!(change.snapshot.encode(), alone.snapshot.encode());
                if let Some(patch) = &change.patch {
                    assert!(patch.len() < change.snapshot.len() && !patch.contains(&b'\n'));
                    let mut patched = held.take().expect("a patch has something to patch");
                    let patch = Patch::parse(patch).expect("a patch is one");
                    patch.apply(&mut patched).expect("a patch fits");
                    assert_eq!(patched, new);
                }
                held = Some(new);
            }
        }
        let again = document.observe(body);
        assert!(
            matches!(again, Ok(Observation::Unchanged)),
            "the same bytes"
        );
    }
}

fn view(choice: u8) -> View {
    let key = ["id", "", "a"][usize::from(choice % 3)];
    View {
        select: Pointer::parse(if choice & 4 == 0 { "" } else { "/a" }).expect("a pointer"),
        ignore: match choice & 8 {
            0 => Vec::new(),
            _ => ["/b", "/*/b", "/*/0"]
                .map(|pattern| Pattern::parse(pattern).expect("a pattern"))
                .into(),
        },
        key: (choice & 16 != 0).then(|| key.to_owned()),
        items: Pointer::default(),
    }
}

/// The parts between separators; one at least.
pub fn split(mut input: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while let Some(at) = input.windows(SEPARATOR.len()).position(|w| w == SEPARATOR) {
        bodies.push(&input[..at]);
        input = &input[at + SEPARATOR.len()..];
    }
    bodies.push(input);
    bodies
}

/// The result of what waits for nobody.
///
/// # Panics
/// If it does wait.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
