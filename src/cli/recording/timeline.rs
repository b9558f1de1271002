//! What a recording tells: when the answer was which.

use std::io::BufRead;
use std::sync::Arc;

use bytes::Bytes;

use super::reader::{Lines, Moment, RecordingError, Step, read};
use crate::cli::subscribe::{Change, Event, Replica, member};
use crate::core::json::Json;

/// A recording that was read and followed once from beginning to end: it fits.
#[derive(Clone, Debug)]
pub struct Timeline {
    moments: Arc<[Moment]>,
    /// The path of the feed that was recorded, if the file says so.
    pub path: Option<String>,
    /// What is odd, but does no harm.
    pub warnings: Vec<String>,
}

/// What an API that is recorded answers from one moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This body.
    Body(Bytes),
    /// Nothing usable, for this reason.
    Failure(String),
    /// The feed is over, for this reason.
    Gone(String),
}

/// Follows the moments of a timeline.
#[derive(Debug)]
pub struct Player {
    moments: Arc<[Moment]>,
    next: usize,
    replica: Replica,
    /// The last body that there was.
    body: Option<Bytes>,
}

impl Timeline {
    /// Reads a recording and follows it to its end.
    ///
    /// # Errors
    /// [`RecordingError`] names the first line that is wrong or does not fit.
    pub fn read(file: impl BufRead) -> Result<Self, RecordingError> {
        let Lines {
            mut moments,
            path,
            mut warnings,
        } = read(file)?;
        let first = moments.iter().position(Moment::is_whole);
        let first = first.ok_or(RecordingError::NoDocument)?;
        let skipped = moments[..first].iter().filter(|moment| moment.changes());
        match skipped.count() {
            0 => {}
            count => warnings.push(format!(
                "{count} changes before line {} are left out: the document that they change is \
                 not in the file",
                moments[first].line
            )),
        }
        let mut place = 0..;
        moments.retain(|moment| place.next().is_some_and(|at| at >= first) || !moment.changes());
        let timeline = Self {
            moments: moments.into(),
            path,
            warnings,
        };
        let mut player = timeline.player();
        while player.step()?.is_some() {}
        Ok(timeline)
    }

    /// Follows it from the beginning.
    pub fn player(&self) -> Player {
        Player {
            moments: Arc::clone(&self.moments),
            next: 0,
            replica: Replica::default(),
            body: None,
        }
    }

    /// The times of its first and its last moment, in milliseconds since 1970.
    pub fn span(&self) -> (u64, u64) {
        let at = |moment: Option<&Moment>| moment.map_or(0, |moment| moment.at);
        (at(self.moments.first()), at(self.moments.last()))
    }
}

impl Moment {
    fn is_whole(&self) -> bool {
        match &self.step {
            Step::Event(event) => event.name == "snapshot",
            Step::Body(_) => true,
        }
    }

    fn changes(&self) -> bool {
        matches!(&self.step, Step::Event(event) if matches!(&*event.name, "patch" | "merge"))
    }
}

impl Player {
    /// When the next moment is, in milliseconds since 1970; none at the end.
    pub fn next_at(&self) -> Option<u64> {
        Some(self.moments.get(self.next)?.at)
    }

    /// Goes on to the next moment at which the answer is another one; none at the end.
    ///
    /// # Errors
    /// [`RecordingError::Line`] where a line does not fit what stands before it.
    pub fn step(&mut self) -> Result<Option<Answer>, RecordingError> {
        let moments = Arc::clone(&self.moments);
        while let Some(moment) = moments.get(self.next) {
            self.next += 1;
            let answer = match &moment.step {
                Step::Body(body) => Some(Answer::Body(Bytes::from(body.clone()))),
                Step::Event(event) => {
                    let line = moment.line;
                    let wrong = |why| RecordingError::Line { line, why };
                    self.answer(event).map_err(wrong)?
                }
            };
            if let Some(Answer::Body(body)) = &answer {
                self.body = Some(body.clone());
            }
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    fn answer(&mut self, event: &Event) -> Result<Option<Answer>, String> {
        let change = self
            .replica
            .take(event)
            .map_err(|error| error.to_string())?;
        Ok(match change {
            Change::Whole { after, .. } | Change::Patched { after, .. } => {
                Some(Answer::Body(after.encode().into()))
            }
            Change::Item(_) => {
                return Err(
                    "it tells of an item, and not where in the document that is; record with \
                     --mode patch or --mode snapshot"
                        .to_owned(),
                );
            }
            Change::Word(members) => self.word(event, &members),
            Change::Other if event.name == "snapshot" => {
                return Err("its document is nested too deeply, or no JSON".to_owned());
            }
            Change::Blind(_) | Change::Other => None,
        })
    }

    fn word(&self, event: &Event, members: &Json) -> Option<Answer> {
        let reason = member(members, "reason")
            .unwrap_or("as recorded")
            .to_owned();
        match (event.name.as_str(), member(members, "state")) {
            ("end", _) => Some(Answer::Gone(reason)),
            ("status", Some("live")) => self.body.clone().map(Answer::Body),
            ("status", Some(_)) => Some(Answer::Failure(reason)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &[&str]) -> Result<Vec<String>, String> {
        let text = lines.join("\n") + "\n";
        let timeline = Timeline::read(text.as_bytes()).map_err(|error| error.to_string())?;
        let mut player = timeline.player();
        let mut told = Vec::new();
        while let Some(answer) = player.step().unwrap() {
            told.push(match answer {
                Answer::Body(body) => String::from_utf8_lossy(&body).into_owned(),
                Answer::Failure(why) => format!("failure: {why}"),
                Answer::Gone(why) => format!("gone: {why}"),
            });
        }
        Ok(told)
    }

    const FIRST: &str = r#"{"at":1,"event":"snapshot","id":"a-1","data":[1.50]}"#;
    const NEXT: &str =
        r#"{"at":2,"event":"patch","id":"a-2","data":[{"op":"add","path":"/-","value":2}]}"#;

    #[test]
    fn events_become_answers_again() {
        let told = answers(&[
            r#"{"pollcast_recording":1,"at":"2026-01-01T00:00:00Z","path":"/x"}"#,
            r#"{"at":1,"connection":"open","resumed":false}"#,
            FIRST,
            NEXT,
            r#"{"at":3,"event":"status","id":"a-2","data":{"state":"stale","reason":"503"}}"#,
            r#"{"at":4,"event":"status","id":"a-2","data":{"state":"live"}}"#,
            r#"{"at":5,"event":"end","id":"a-2","data":{"reason":"410"}}"#,
        ]);
        let expected = [
            "[1.50]",
            "[1.50,2]",
            "failure: 503",
            "[1.50,2]",
            "gone: 410",
        ];
        assert_eq!(told.unwrap(), expected);
    }

    #[test]
    fn a_recording_that_was_cut_begins_with_its_first_whole_document() {
        let whole = r#"{"at":3,"document":[7]}"#;
        let text = [NEXT, whole, NEXT].join("\n");
        let timeline = Timeline::read(text.as_bytes()).unwrap();
        assert_eq!(timeline.warnings.len(), 1, "{:?}", timeline.warnings);
        assert_eq!(answers(&[NEXT, whole, NEXT]).unwrap(), ["[7]", "[7,2]"]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_line() {
        let wrong = r#"{"at":2,"event":"patch","id":"a-2","data":[{"op":"remove","path":"/7"}]}"#;
        let item = r#"{"at":2,"event":"added","id":"a-2","data":{"key":1,"item":2}}"#;
        let deep = format!(
            r#"{{"at":1,"document":{}{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        for (lines, words) in [
            (&[deep.as_str()][..], "line 1: its document is nested too"),
            (&[FIRST, wrong], "line 2: the patch a-2 does not fit"),
            (&[FIRST, item], "line 2: it tells of an item"),
            (&[NEXT], "it tells no whole document"),
        ] {
            let told = answers(lines).unwrap_err();
            assert!(told.starts_with(words), "{told}");
        }
    }
}
