//! Reading a recording: lines into moments, or the line that is wrong.

use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::VERSION;
use crate::cli::subscribe::Event;

/// Something that happened, and when: milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: u64,
    /// In which line, from 1.
    pub line: usize,
    /// What.
    pub step: Step,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An event, or the whole document as one.
    Event(Event),
    /// An answer, byte for byte.
    Body(String),
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system does not give it to us.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It has to be unpacked first.
    #[error("it is compressed; unpack it on the way: {0} FILE | pollcast replay -")]
    Compressed(&'static str),
    /// A line is not what it should be.
    #[error("line {line}: {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// Lines, but nothing to serve.
    #[error("it tells no whole document, so there is nothing to serve")]
    NoDocument,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Lines {
    /// What happened, in the order of the file.
    pub moments: Vec<Moment>,
    /// The path of the feed that was recorded.
    pub path: Option<String>,
    /// What is odd, but does no harm.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    pollcast_recording: Option<u64>,
    path: Option<String>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
    event: Option<String>,
    id: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    connection: Option<String>,
    body: Option<String>,
}

/// Reads all lines.
///
/// # Errors
/// [`RecordingError`] for the first line that is wrong, unless that is the last one and torn.
pub fn read(mut file: impl BufRead) -> Result<Lines, RecordingError> {
    let mut lines = Lines::default();
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        let read = file.read_until(b'\n', &mut bytes);
        if read.map_err(RecordingError::Read)? == 0 {
            break;
        }
        number += 1;
        if number == 1 {
            check_packing(&bytes)?;
        }
        let torn = bytes.last() != Some(&b'\n');
        match taken(&bytes, number, &mut lines) {
            Ok(()) => {}
            Err(_) if torn && number > 1 => {
                let warning = format!("line {number}, the last one, is torn and left out");
                lines.warnings.push(warning);
            }
            Err(why) => return Err(RecordingError::Line { line: number, why }),
        }
    }
    match number {
        0 => Err(RecordingError::Empty),
        _ => Ok(lines),
    }
}

fn check_packing(first: &[u8]) -> Result<(), RecordingError> {
    match first {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(RecordingError::Compressed("zstd -dc --long=27")),
        [0x1f, 0x8b, ..] => Err(RecordingError::Compressed("gzip -dc")),
        _ => Ok(()),
    }
}

fn taken(bytes: &[u8], number: usize, lines: &mut Lines) -> Result<(), String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    let line: Line<'_> = serde_json::from_slice(bytes)
        .map_err(|error| format!("it is no line of a recording ({error})"))?;
    if let Some(version) = line.pollcast_recording {
        if version > VERSION {
            return Err(format!(
                "its format has version {version}, and this pollcast reads up to {VERSION}; \
                 use a newer one"
            ));
        }
        lines.path = lines.path.take().or(line.path);
        return Ok(());
    }
    let Some(at) = line.at else {
        return Err("it has no \"at\"; is it a recording of pollcast?".to_owned());
    };
    let at = time(at.get()).ok_or("its \"at\" is no time, such as \"2026-01-31T13:05:09.123Z\"")?;
    let id = line.id.unwrap_or_default();
    let event = |name: String, data: &RawValue| Event {
        name,
        id: id.clone(),
        data: data.get().to_owned(),
    };
    let step = match (
        line.event,
        line.data,
        line.document,
        line.body,
        line.connection,
    ) {
        (Some(name), Some(data), ..) => Step::Event(event(name, data)),
        (None, _, Some(document), ..) => Step::Event(event("snapshot".to_owned(), document)),
        (None, _, None, Some(body), _) => Step::Body(body),
        (None, _, None, None, Some(_)) => return Ok(()),
        _ => {
            return Err(
                "it has neither \"event\" with \"data\", nor \"document\", \"connection\" or \
                 \"body\""
                    .to_owned(),
            );
        }
    };
    // A clock may be set back; what stands later in the file happened later.
    let latest = lines.moments.last().map_or(0, |moment| moment.at);
    let at = at.max(latest);
    lines.moments.push(Moment {
        at,
        line: number,
        step,
    });
    Ok(())
}

/// A time as RFC 3339, or as seconds since 1970.
fn time(text: &str) -> Option<u64> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::String(text) => millis(humantime::parse_rfc3339_weak(&text).ok()?),
        serde_json::Value::Number(seconds) => {
            let seconds = seconds.as_f64().filter(|seconds| *seconds >= 0.0)?;
            u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
        }
        _ => None,
    }
}

/// Milliseconds since 1970.
pub fn millis(at: SystemTime) -> Option<u64> {
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(lines) => format!("{} moments, {:?}", lines.moments.len(), lines.warnings),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        let good = "{\"at\":\"2026-01-31T13:05:09Z\",\"event\":\"snapshot\",\"id\":\"a-1\",\"data\":[1]}\n";
        for (text, words) in [
            (String::new(), "it is empty"),
            (
                format!("{good}garbage\n{good}"),
                "line 2: it is no line of a recording",
            ),
            (
                format!("{good}garbage"),
                "1 moments, [\"line 2, the last one, is torn and left out\"]",
            ),
            (format!("{good}{}", good.trim_end()), "2 moments, []"),
            ("{\"at".to_owned(), "line 1: it is no line of a recording"),
            ("[1]\n".to_owned(), "line 1: it is no line"),
            ("{\"a\":1}\n".to_owned(), "line 1: it has no \"at\""),
            (
                "{\"at\":\"noon\",\"body\":\"\"}\n".to_owned(),
                "line 1: its \"at\" is no time",
            ),
            ("{\"at\":1}\n".to_owned(), "line 1: it has neither"),
            (
                "{\"pollcast_recording\":2}\n".to_owned(),
                "line 1: its format has version 2",
            ),
            (
                "{\"at\":1568059825.5,\"body\":\"[1]\"}\n\n".to_owned(),
                "1 moments, []",
            ),
            ("\u{1f}\u{8b}".to_owned(), "line 1"),
        ] {
            assert!(told(&text).starts_with(words), "{text:?}: {}", told(&text));
        }
        let packed = read(&[0x1f, 0x8b, 8, 0][..]).unwrap_err().to_string();
        assert!(packed.contains("gzip -dc"), "{packed}");
    }

    #[test]
    fn times_never_go_back() {
        let text = "{\"at\":10,\"body\":\"[1]\"}\n{\"at\":5,\"body\":\"[2]\"}\n";
        let lines = read(text.as_bytes()).unwrap();
        let times: Vec<_> = lines.moments.iter().map(|moment| moment.at).collect();
        assert_eq!(times, [10_000, 10_000]);
    }
}
