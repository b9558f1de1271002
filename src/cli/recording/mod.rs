//! A feed as a file: what `record` writes and `replay` reads.
//!
//! One JSON object a line (NDJSON), so that a recording can be cut, searched and compressed with
//! whatever is at hand. Times are RFC 3339 in UTC, with milliseconds.
//!
//! | line | meaning |
//! |---|---|
//! | `{"pollcast_recording": 1, "at", "from", "path"}` | the format's version; where it was recorded, without anything that may be a secret |
//! | `{"at", "event", "id", "data"}` | an event as it came: `snapshot`, `patch`, `merge`, `reset`, `status`, `end`, or any other; of a JSON API that was polled, without an id of its own |
//! | `{"at", "document"}` | the whole document once more, so that a recording that was cut begins here |
//! | `{"at", "connection": "open", "resumed"}` | a stream began; `resumed` if it went on after the last id |
//! | `{"at", "connection": "lost", "reason"}` | it ended; until the next one nothing was heard |
//! | `{"at", "body"}` | what an API answered, as text; `at` may be seconds since 1970. Not written, only read: the form in which others keep histories |

mod reader;
mod timeline;
mod writer;

pub use reader::{RecordingError, millis, read};
pub use timeline::{Answer, Player, Timeline};
pub use writer::Writer;

/// How the first line that is written begins.
pub const HEAD: &str = r#"{"pollcast_recording":"#;
/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;
