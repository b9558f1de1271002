//! Logs that one process hands to the next, where no store keeps them.
//!
//! Promises that they never reach a disk: they travel as a file in memory without a name, which is
//! gone with the last process that has it. They are bounded: what does not fit begins anew.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use tracing::warn;

use super::file::codec::{
    Written, decode_document, decode_lineage, encode_document, encode_lineage,
};
use super::file::mark::Secret;
use crate::config::Feed;
use crate::core::past::Past;
use crate::hub::{Identity, Recall, Topic};

/// The most that is handed over, in bytes: for a moment both processes hold it.
const MOST: u64 = 1 << 30;

/// What another process gave, and nobody has asked for yet.
pub struct Handed {
    secret: [u8; 32],
    /// A std mutex: held for a look-up.
    pasts: Arc<Mutex<HashMap<[u8; 32], Past>>>,
}

impl fmt::Debug for Handed {
    /// Neither the secret nor a document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handed")
    }
}

impl Handed {
    /// Nothing, which is what a process begins with that takes over from none.
    pub fn nothing() -> Self {
        Self::with(rand::random())
    }

    fn with(secret: [u8; 32]) -> Self {
        Self {
            secret,
            pasts: Arc::default(),
        }
    }

    /// Forgets after this time what nobody has asked for by then. To be called within a runtime.
    pub(super) fn keep_for(&self, time: Duration) {
        let pasts = Arc::clone(&self.pasts);
        if held(&pasts).is_empty() {
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            held(&pasts).clear();
        });
    }

    /// What was written by [`Self::write`].
    ///
    /// # Errors
    /// If it is something else.
    pub fn read(file: File) -> io::Result<Self> {
        let mut from = BufReader::new(file);
        from.rewind()?;
        let mut secret = [0; 32];
        from.read_exact(&mut secret)?;
        let handed = Self::with(secret);
        let mut pasts = HashMap::new();
        while let Some((mark, past)) = read_past(&mut from)? {
            pasts.insert(mark, past);
        }
        *held(&handed.pasts) = pasts;
        Ok(handed)
    }

    /// The logs of these topics as a file in memory, with the secret that their keys are digested
    /// with. Nobody may publish meanwhile.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn write(secret: [u8; 32], topics: &[Arc<Topic>]) -> io::Result<File> {
        let file = File::from(memfd_create("pollcast", MemfdFlags::CLOEXEC)?);
        let mut to = BufWriter::new(file);
        to.write_all(&secret)?;
        let marks = Secret::new(secret);
        let (mut written, mut left_out) = (0, 0);
        for topic in topics {
            let Some(past) = topic.past() else {
                continue;
            };
            if written > MOST {
                left_out += 1;
                continue;
            }
            to.write_all(&[1])?;
            to.write_all(&marks.mark(topic.feed(), topic.identity()))?;
            written += write_past(&mut to, &past)?;
        }
        to.write_all(&[0])?;
        if left_out > 0 {
            warn!(
                left_out,
                most = MOST,
                "logs are too large to be handed over; their subscribers begin anew"
            );
        }
        to.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Recall for Handed {
    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn recall(&self, feed: &Feed, identity: &Identity) -> Option<Past> {
        let mut pasts = held(&self.pasts);
        if pasts.is_empty() {
            return None;
        }
        pasts.remove(&Secret::new(self.secret).mark(feed, identity))
    }

    fn forget(&self, _: &Topic) {}
}

fn held(pasts: &Mutex<HashMap<[u8; 32], Past>>) -> MutexGuard<'_, HashMap<[u8; 32], Past>> {
    // Whoever panicked in between has only left something out.
    pasts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What another process gave, and what stands in the store.
#[derive(Debug)]
pub(super) struct HandedBeside {
    pub(super) handed: Handed,
    pub(super) store: Arc<dyn Recall>,
}

impl Recall for HandedBeside {
    fn secret(&self) -> [u8; 32] {
        self.store.secret()
    }

    /// What was given goes first: it is newer where the disk did not take everything, and all there
    /// is of what the store does not keep.
    fn recall(&self, feed: &Feed, identity: &Identity) -> Option<Past> {
        let kept = self.store.recall(feed, identity);
        self.handed.recall(feed, identity).or(kept)
    }

    fn forget(&self, topic: &Topic) {
        self.store.forget(topic);
    }
}

fn write_past(to: &mut impl Write, past: &Past) -> io::Result<u64> {
    let document = encode_document(past.newest(), past.document());
    let mut written = write_piece(to, &encode_lineage(past.lineage()))?;
    written += write_piece(to, &document)?;
    written += to.write(&(past.kept().len() as u64).to_be_bytes())? as u64;
    for kept in past.kept() {
        let event = Written {
            sequence: 0,
            count: 0,
            kept: kept.clone(),
        };
        written += write_piece(to, &event.encode())?;
    }
    Ok(written)
}

fn read_past(from: &mut impl Read) -> io::Result<Option<([u8; 32], Past)>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut more, mut mark) = ([0], [0; 32]);
    from.read_exact(&mut more)?;
    if more == [0] {
        return Ok(None);
    }
    from.read_exact(&mut mark)?;
    let lineage = decode_lineage(read_piece(from)?).ok_or_else(wrong)?;
    let (newest, document) = decode_document(read_piece(from)?).ok_or_else(wrong)?;
    let mut kept = Vec::new();
    for _ in 0..read_length(from)? {
        kept.push(Written::decode(read_piece(from)?).ok_or_else(wrong)?.kept);
    }
    let past = Past::new(lineage, newest, document, kept).ok_or_else(wrong)?;
    Ok(Some((mark, past)))
}

fn write_piece(to: &mut impl Write, piece: &[u8]) -> io::Result<u64> {
    to.write_all(&(piece.len() as u64).to_be_bytes())?;
    to.write_all(piece)?;
    Ok(piece.len() as u64 + 8)
}

fn read_piece(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = read_length(from)?;
    let mut piece = Vec::new();
    let read = from.take(length).read_to_end(&mut piece)?;
    match read as u64 == length {
        true => Ok(piece),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_length(from: &mut impl Read) -> io::Result<u64> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    Ok(u64::from_be_bytes(length))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::core::event::Timestamp;
    use crate::core::id::Epoch;
    use crate::core::lineage::Lineage;
    use crate::core::past::Kept;

    fn past() -> Past {
        let earlier = vec![(Epoch::from_random(1), 3)];
        let lineage = Lineage::from_parts(earlier, Epoch::from_random(2)).unwrap();
        let kept = |patch: &'static str| Kept {
            patch: Some(Bytes::from_static(patch.as_bytes())),
            at: Some(Timestamp(9)),
            ..Kept::default()
        };
        Past::new(
            lineage,
            7,
            Bytes::from_static(b"{}"),
            vec![kept("[1]"), kept("[2]")],
        )
        .unwrap()
    }

    #[test]
    fn a_past_is_the_same_on_the_other_side() {
        let mut wire = vec![1];
        wire.extend([5; 32]);
        let written = write_past(&mut wire, &past()).unwrap();
        assert_eq!(wire.len() as u64, written + 33);
        wire.push(0);
        let mut from = &wire[..];
        assert_eq!(read_past(&mut from).unwrap(), Some(([5; 32], past())));
        assert_eq!(read_past(&mut from).unwrap(), None);
        for cut in 0..wire.len() - 1 {
            assert!(read_past(&mut &wire[..cut]).is_err(), "{cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_is_forgotten() {
        let handed = Handed::nothing();
        held(&handed.pasts).insert([5; 32], past());
        handed.keep_for(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(held(&handed.pasts).len(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(held(&handed.pasts).is_empty());
    }

    #[test]
    fn a_file_of_nothing_reads_as_nothing() {
        let file = Handed::write([7; 32], &[]).unwrap();
        let handed = Handed::read(file).unwrap();
        assert_eq!(handed.secret(), [7; 32]);
        assert!(handed.pasts.lock().unwrap().is_empty());
    }
}
