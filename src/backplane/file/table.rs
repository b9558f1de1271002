//! The store as a database: what stands in it, and each way in which it is read and written.
//!
//! Owns the SQL. Promises that each call is one transaction: it is done, or it was never begun. Knows
//! nothing of topics but the rows that it is given.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::codec::{Written, decode_document, decode_lineage, encode_document, encode_lineage};
use super::error::OpenError;
use crate::core::lineage::Lineage;

const NAME: &str = "store.sqlite";
/// "poll"
const APPLICATION: i32 = 0x706f_6c6c;
const VERSION: i32 = 1;
/// In bytes.
const PAGE: u64 = 2048;
/// Entries of one topic are numbered from its own number times this.
const RING: i64 = 1 << 32;

/// What a topic is known by.
pub(super) type Mark = [u8; 32];

/// One topic as it stands in the store.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: i64,
    pub(super) mark: Mark,
    pub(super) feed: String,
    pub(super) ring: u32,
    pub(super) lineage: Lineage,
    /// The document, and the sequence of the event that led to it.
    pub(super) document: (u64, Bytes),
    /// In order of their sequences, without a gap, up to the newest.
    pub(super) events: Vec<Written>,
}

/// A topic to be written whole.
pub(super) struct Whole<'a> {
    pub(super) mark: &'a Mark,
    pub(super) feed: &'a str,
    pub(super) ring: u32,
    pub(super) lineage: &'a Lineage,
    pub(super) document: (u64, &'a [u8]),
    pub(super) events: &'a [Written],
}

/// An event to be added to a topic that stands in the store.
pub(super) struct Addition<'a> {
    pub(super) number: i64,
    pub(super) ring: u32,
    pub(super) event: &'a Written,
    /// The document that it leads to, if that is to be written.
    pub(super) document: Option<&'a [u8]>,
    /// Sequences that are no longer kept.
    pub(super) gone: std::ops::Range<u64>,
}

/// The open database. Nobody else has it open.
#[derive(Debug)]
pub(super) struct Table {
    connection: Connection,
    /// The same file that SQLite appends to.
    log: File,
    path: PathBuf,
}

impl Table {
    /// Opens the store in this folder; makes both where there is none.
    pub(super) fn open(folder: &Path, always: bool) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let broken = |source| OpenError::of(&path, source);
        make(folder, &path).map_err(|source| OpenError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let connection = Connection::open(&path).map_err(broken)?;
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;")
            .map_err(broken)?;
        let application: i32 = pragma(&connection, "application_id").map_err(broken)?;
        let version: i32 = pragma(&connection, "user_version").map_err(broken)?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(broken)?;
        match (application, version) {
            (0, 0) if tables == 0 => {}
            (APPLICATION, VERSION) => {}
            (APPLICATION, version) => return Err(OpenError::Version { path, version }),
            _ => return Err(OpenError::Foreign { path }),
        }
        let damage: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(broken)?;
        if damage != "ok" {
            return Err(OpenError::Damaged { path });
        }
        let sync = if always { "FULL" } else { "NORMAL" };
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = OFF;
                 BEGIN IMMEDIATE;
                 PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};
                 CREATE TABLE IF NOT EXISTS secret (bytes BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS topic (
                    number INTEGER PRIMARY KEY, mark BLOB NOT NULL UNIQUE, feed TEXT NOT NULL,
                    ring INTEGER NOT NULL, lineage BLOB NOT NULL, document BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS event (slot INTEGER PRIMARY KEY, event BLOB NOT NULL);
                 COMMIT;
                 PRAGMA synchronous = {sync};"
            ))
            .map_err(broken)?;
        let log =
            File::open(folder.join(format!("{NAME}-wal"))).map_err(|source| OpenError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        Ok(Self {
            connection,
            log,
            path,
        })
    }

    /// The secret of this store, which is `fresh` if it has none yet.
    pub(super) fn secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], OpenError> {
        let broken = |source| OpenError::of(&self.path, source);
        let sql = "SELECT bytes FROM secret";
        let found = self.connection.query_row(sql, [], |row| row.get(0));
        if let Some(secret) = found.optional().map_err(broken)? {
            return Ok(secret);
        }
        let sql = "INSERT INTO secret VALUES (?)";
        self.connection.execute(sql, [fresh]).map_err(broken)?;
        Ok(fresh)
    }

    /// Every topic that stands in it.
    pub(super) fn topics(&self) -> Result<Vec<Found>, OpenError> {
        let broken = |source| OpenError::of(&self.path, source);
        let damaged = || OpenError::Damaged {
            path: self.path.clone(),
        };
        let sql = "SELECT number, mark, feed, ring, lineage, document FROM topic";
        let mut statement = self.connection.prepare(sql).map_err(broken)?;
        let mut rows = statement.query([]).map_err(broken)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(broken)? {
            let number = row.get(0).map_err(broken)?;
            let lineage: Vec<u8> = row.get(4).map_err(broken)?;
            let document: Vec<u8> = row.get(5).map_err(broken)?;
            let document = decode_document(document).ok_or_else(damaged)?;
            found.push(Found {
                number,
                mark: row.get(1).map_err(broken)?,
                feed: row.get(2).map_err(broken)?,
                ring: row.get(3).map_err(broken)?,
                lineage: decode_lineage(lineage).ok_or_else(damaged)?,
                document,
                events: self.events(number).map_err(broken)?.ok_or_else(damaged)?,
            });
        }
        Ok(found)
    }

    /// The newest events of a topic, as far as there is no gap; none if they are damaged.
    fn events(&self, number: i64) -> rusqlite::Result<Option<Vec<Written>>> {
        let sql = "SELECT event FROM event WHERE slot >= ? AND slot < ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let range = [number * RING, (number + 1) * RING];
        let rows = statement.query_map(range, |row| row.get::<_, Vec<u8>>(0))?;
        let mut events = Vec::new();
        for row in rows {
            let Some(event) = Written::decode(row?) else {
                return Ok(None);
            };
            events.push(event);
        }
        events.sort_by_key(|event| event.sequence);
        let follows = |pair: &[Written]| pair[0].sequence + 1 == pair[1].sequence;
        let begin = events.windows(2).rposition(|pair| !follows(pair));
        Ok(Some(events.split_off(begin.map_or(0, |at| at + 1))))
    }

    /// Adds an event.
    pub(super) fn add(&mut self, addition: &Addition<'_>) -> rusqlite::Result<()> {
        if addition.document.is_none() && addition.gone.is_empty() {
            return self.insert(addition.number, addition.ring, addition.event);
        }
        self.atomically(|table| {
            for sequence in addition.gone.clone() {
                let slot = slot(addition.number, addition.ring, sequence);
                let sql = "DELETE FROM event WHERE slot = ?";
                table.connection.prepare_cached(sql)?.execute([slot])?;
            }
            if let Some(document) = addition.document {
                let document = encode_document(addition.event.sequence, document);
                let sql = "UPDATE topic SET document = ? WHERE number = ?";
                let mut statement = table.connection.prepare_cached(sql)?;
                statement.execute(params![document, addition.number])?;
            }
            table.insert(addition.number, addition.ring, addition.event)
        })
    }

    /// Writes a topic, in the place of what stood there. Returns its number.
    pub(super) fn put(&mut self, whole: &Whole<'_>) -> rusqlite::Result<i64> {
        self.atomically(|table| {
            table.remove(whole.mark)?;
            let sql =
                "INSERT INTO topic (mark, feed, ring, lineage, document) VALUES (?, ?, ?, ?, ?)";
            table.connection.prepare_cached(sql)?.execute(params![
                whole.mark,
                whole.feed,
                whole.ring,
                encode_lineage(whole.lineage),
                encode_document(whole.document.0, whole.document.1),
            ])?;
            let number = table.connection.last_insert_rowid();
            for event in whole.events {
                table.insert(number, whole.ring, event)?;
            }
            Ok(number)
        })
    }

    /// Forgets these topics; what they were is overwritten.
    pub(super) fn forget(&mut self, marks: &[Mark]) -> rusqlite::Result<()> {
        self.connection.execute_batch("PRAGMA secure_delete = ON")?;
        let done = self.atomically(|table| marks.iter().try_for_each(|mark| table.remove(mark)));
        self.connection
            .execute_batch("PRAGMA secure_delete = OFF")?;
        done
    }

    /// From the next event of each of these topics on there is another epoch. On the disk itself
    /// before this returns.
    pub(super) fn go_on_in(&mut self, lineages: &[(i64, Lineage)]) -> rusqlite::Result<()> {
        self.atomically(|table| {
            let sql = "UPDATE topic SET lineage = ? WHERE number = ?";
            let mut statement = table.connection.prepare_cached(sql)?;
            lineages.iter().try_for_each(|(number, lineage)| {
                statement.execute(params![encode_lineage(lineage), number])?;
                Ok(())
            })
        })?;
        self.checkpoint()
    }

    /// What was appended so far, to be synced while others go on.
    pub(super) fn log(&self) -> std::io::Result<File> {
        self.log.try_clone()
    }

    /// Moves what was appended to its place, syncs it, and gives back the space.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        debug_assert_eq!(busy, 0, "nobody else has it open");
        Ok(())
    }

    /// Moves what was appended to its place, and syncs it. What is appended next takes the same space
    /// once more: to write over what the system has in memory costs it a fifth of what new space does.
    pub(super) fn turn(&self) -> rusqlite::Result<()> {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let left = self.connection.query_row(sql, [], unmoved)?;
        debug_assert_eq!(left, 0, "nobody else has it open");
        Ok(())
    }

    /// The bytes that were appended, and are not in their place yet.
    pub(super) fn appended(&self) -> rusqlite::Result<u64> {
        let sql = "PRAGMA wal_checkpoint(NOOP)";
        let pages = self.connection.query_row(sql, [], unmoved)?;
        Ok(u64::try_from(pages).unwrap_or(0) * PAGE)
    }

    /// The bytes that the store takes.
    pub(super) fn size(&self) -> u64 {
        let log = self.log.metadata().map_or(0, |it| it.len());
        log + std::fs::metadata(&self.path).map_or(0, |it| it.len())
    }

    /// Everything is on the disk itself, and the file is free for others.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.checkpoint()?;
        self.connection.close().map_err(|(_, error)| error)
    }

    fn atomically<T>(
        &mut self,
        work: impl FnOnce(&Self) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        let done = work(self).and_then(|done| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(done)
        });
        if done.is_err() && !self.connection.is_autocommit() {
            // It is rolled back already where this fails.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }

    fn insert(&self, number: i64, ring: u32, event: &Written) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO event VALUES (?, ?)";
        let slot = slot(number, ring, event.sequence);
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(params![slot, event.encode()]).map(drop)
    }

    fn remove(&self, mark: &Mark) -> rusqlite::Result<()> {
        let sql = "DELETE FROM topic WHERE mark = ? RETURNING number";
        let mut statement = self.connection.prepare_cached(sql)?;
        let number: Option<i64> = statement.query_row([mark], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            let sql = "DELETE FROM event WHERE slot >= ? AND slot < ?";
            let range = [number * RING, (number + 1) * RING];
            self.connection.prepare_cached(sql)?.execute(range)?;
        }
        Ok(())
    }
}

/// Where an event stands: in the place of the one that left the log when it came.
fn slot(number: i64, ring: u32, sequence: u64) -> i64 {
    let place = sequence % u64::from(ring.max(1));
    number * RING + i64::try_from(place).expect("invariant: a ring is shorter than 2^32")
}

/// Pages in the log that are not in their place, as a checkpoint tells it.
fn unmoved(row: &rusqlite::Row<'_>) -> rusqlite::Result<i64> {
    Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Makes the folder and the file, for their owner alone.
fn make(folder: &Path, path: &Path) -> std::io::Result<()> {
    if !folder.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    if path.exists() {
        return Ok(());
    }
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o600);
    new.open(path).map(drop)
}

impl OpenError {
    fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Taken { path },
            Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path },
            Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
            _ => OpenError::Sqlite { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Epoch;
    use crate::core::past::Kept;

    #[test]
    fn what_is_appended_takes_the_same_space_again_and_all_of_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::open(folder.path(), false).unwrap();
        let event = |sequence| Written {
            sequence,
            count: sequence,
            kept: Kept {
                patch: Some(vec![b'x'; 1000].into()),
                ..Kept::default()
            },
        };
        let number = table
            .put(&Whole {
                mark: &[1; 32],
                feed: "/feed",
                ring: 1000,
                lineage: &Lineage::from_parts(Vec::new(), Epoch::from_random(1)).unwrap(),
                document: (1, b"{}"),
                events: &[event(1)],
            })
            .unwrap();
        let mut longest = 0;
        for sequence in 2..=900 {
            let addition = Addition {
                number,
                ring: 1000,
                event: &event(sequence),
                document: None,
                gone: 0..0,
            };
            table.add(&addition).unwrap();
            if table.appended().unwrap() > 200_000 {
                table.turn().unwrap();
                assert_eq!(table.appended().unwrap(), 0);
            }
            longest = longest.max(table.log.metadata().unwrap().len());
        }
        assert!(longest < 300_000, "{longest}");
        // As another process finds it that comes after a kill.
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let found = Table::open(copy.path(), false).unwrap().topics().unwrap();
        let sequences = found[0].events.iter().map(|event| event.sequence);
        assert!(sequences.eq(1..=900));
        table.close().unwrap();
        let log = folder.path().join(format!("{NAME}-wal"));
        assert!(!log.exists(), "what was appended is in its place");
    }
}
