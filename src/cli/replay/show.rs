//! When which answer is due. Decides; whoever calls it waits and serves.

use super::Speed;
use crate::cli::recording::{Answer, Player, Timeline};

/// With `--wait`: how long the first answer stays at least, so that the first client sees it.
const FIRST: u64 = 1_000;
/// Between the end and the beginning of the next round, at the recorded speed.
const BREAK: u64 = 1_000;
/// As often a failure is served at least: a feed is stale after two.
const FAILURES: u32 = 2;

/// How it is replayed. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub speed: Speed,
    pub from: u64,
    pub until: u64,
    /// Whether it begins anew at the end.
    pub again: bool,
    /// Whether it begins with the first request.
    pub wait: bool,
    /// Whether the feed is gone at the end.
    pub end: bool,
}

/// A recording on the stage. `now` is milliseconds on any clock that never goes back.
#[derive(Debug)]
pub struct Show {
    timeline: Timeline,
    pace: Pace,
    player: Player,
    answer: Answer,
    /// Counts the answers; each has its own number.
    number: u64,
    /// What comes next, and when in the recording.
    next: Option<(u64, Answer)>,
    /// When the round began; none before the first client, if that is waited for.
    began: Option<u64>,
    /// How often the answer was polled.
    polled: u32,
    /// Whether polls come, so that an answer can wait for one.
    has_polls: bool,
    over: bool,
}

impl Show {
    /// Before its first answer is due.
    pub fn new(timeline: &Timeline, pace: Pace) -> Self {
        let mut show = Self {
            timeline: timeline.clone(),
            pace,
            player: timeline.player(),
            answer: Answer::Failure("not begun".to_owned()),
            number: 0,
            next: None,
            began: None,
            polled: 0,
            has_polls: false,
            over: false,
        };
        show.rewind();
        show
    }

    /// The answer as of the round's beginning, and what comes after it.
    fn rewind(&mut self) {
        self.player = self.timeline.player();
        let mut first = None;
        self.advance();
        while let Some((at, answer)) = &self.next {
            if first.is_some() && *at > self.pace.from {
                break;
            }
            first = Some(answer.clone());
            self.advance();
        }
        if let Some(answer) = first {
            self.enter(answer);
        }
    }

    /// Finds the next answer; lines that do not fit were found when the recording was read.
    fn advance(&mut self) {
        let at = self.player.next_at();
        let answer = self.player.step().ok().flatten();
        let next = at.zip(answer);
        self.next = next.filter(|(at, _)| *at <= self.pace.until);
    }

    fn enter(&mut self, answer: Answer) {
        if answer != self.answer {
            self.answer = answer;
            self.number += 1;
            self.polled = 0;
        }
    }

    /// Somebody asks: the answer, and its number.
    pub fn ask(&mut self, is_poll: bool, now: u64) -> (Answer, u64) {
        self.began.get_or_insert(now);
        if is_poll || self.pace.speed == Speed::Max {
            self.polled = self.polled.saturating_add(1);
        }
        self.has_polls |= is_poll;
        (self.answer.clone(), self.number)
    }

    /// Goes on as far as it is time.
    pub fn tick(&mut self, now: u64) {
        if self.began.is_none() && !self.pace.wait {
            self.began = Some(now);
        }
        let Some(began) = self.began else {
            return;
        };
        while !self.over && self.was_seen() {
            let due = match &self.next {
                Some((at, _)) => self.scaled(at.saturating_sub(self.pace.from)),
                None => self.scaled(self.length().saturating_add(BREAK)),
            };
            let due = began.saturating_add(due);
            let held = self.pace.wait && self.number == 1 && now < began + FIRST;
            if now < due || held {
                return;
            }
            match self.next.take() {
                Some((_, answer)) => {
                    self.enter(answer);
                    self.advance();
                }
                None => return self.conclude(now),
            }
        }
    }

    fn conclude(&mut self, now: u64) {
        if self.pace.again {
            self.rewind();
            self.began = Some(now);
            return;
        }
        self.over = true;
        if self.pace.end && !matches!(self.answer, Answer::Gone(_)) {
            self.enter(Answer::Gone("the recording is over".to_owned()));
        }
    }

    /// Whether everything was told, to pollcast too.
    pub fn is_told(&self) -> bool {
        self.over && self.was_seen()
    }

    /// Whether the process is to end with it.
    pub fn ends(&self) -> bool {
        self.pace.end
    }

    /// An answer stays until it was polled: otherwise a document would be lost between two polls.
    fn was_seen(&self) -> bool {
        let needed = match self.answer {
            Answer::Failure(_) => FAILURES,
            _ => 1,
        };
        let counts = self.has_polls || self.pace.speed == Speed::Max;
        !counts || self.polled >= needed
    }

    fn length(&self) -> u64 {
        let (_, last) = self.timeline.span();
        last.min(self.pace.until).saturating_sub(self.pace.from)
    }

    fn scaled(&self, time: u64) -> u64 {
        match self.pace.speed {
            Speed::Max => 0,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Speed::Times(times) => (time as f64 / times) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = r#"{"at":10,"body":"[1]"}
{"at":11,"body":"[2]"}
{"at":12,"event":"status","data":{"state":"stale","reason":"503"}}
{"at":13,"body":"[2]"}
{"at":13,"body":"[3]"}
"#;

    fn show(change: impl FnOnce(&mut Pace)) -> Show {
        let timeline = Timeline::read(RECORDING.as_bytes()).unwrap();
        let mut pace = Pace {
            speed: Speed::Times(1.0),
            from: 10_000,
            until: 13_000,
            again: false,
            wait: false,
            end: false,
        };
        change(&mut pace);
        Show::new(&timeline, pace)
    }

    fn asked(show: &mut Show, is_poll: bool, now: u64) -> String {
        show.tick(now);
        match show.ask(is_poll, now).0 {
            Answer::Body(body) => String::from_utf8_lossy(&body).into_owned(),
            Answer::Failure(why) | Answer::Gone(why) => why,
        }
    }

    #[test]
    fn without_polls_time_alone_decides() {
        let mut show = show(|_| {});
        let told: Vec<_> = [0, 999, 1000, 2500, 3000, 9000]
            .map(|now| asked(&mut show, false, now))
            .into();
        assert_eq!(told, ["[1]", "[1]", "[2]", "503", "[3]", "[3]"]);
        assert!(show.is_told());
    }

    #[test]
    fn no_answer_goes_before_it_was_polled() {
        let mut show = show(|pace| pace.end = true);
        let told: Vec<_> = [0, 9000, 9000, 9000, 9000, 9000, 9000, 9000]
            .map(|now| asked(&mut show, true, now))
            .into();
        let over = "the recording is over";
        assert_eq!(told, ["[1]", "[2]", "503", "503", "[2]", "[3]", over, over]);
        assert!(show.is_told());
    }

    #[test]
    fn it_may_be_faster_begin_later_and_begin_again() {
        let mut fast = show(|pace| pace.speed = Speed::Times(10.0));
        assert_eq!(asked(&mut fast, false, 0), "[1]");
        assert_eq!(asked(&mut fast, false, 100), "[2]");

        let mut late = show(|pace| pace.wait = true);
        late.tick(50_000);
        assert_eq!(asked(&mut late, false, 50_000), "[1]");
        assert_eq!(asked(&mut late, false, 51_000), "[2]");

        let mut again = show(|pace| pace.again = true);
        assert_eq!(asked(&mut again, false, 0), "[1]");
        assert_eq!(asked(&mut again, false, 3000), "[3]");
        assert_eq!(asked(&mut again, false, 4000), "[1]");
        assert_eq!(asked(&mut again, false, 5000), "[2]");

        let mut max = show(|pace| pace.speed = Speed::Max);
        let told: Vec<_> = (0..6).map(|_| asked(&mut max, false, 0)).collect();
        assert_eq!(told, ["[1]", "[2]", "503", "503", "[2]", "[3]"]);
    }

    #[test]
    fn what_is_due_at_the_end_of_time_is_waited_for() {
        let far = "{\"at\":1,\"body\":\"[1]\"}\n{\"at\":18000000000000000,\"body\":\"[2]\"}\n";
        let timeline = Timeline::read(far.as_bytes()).unwrap();
        let (from, until) = timeline.span();
        let pace = Pace {
            speed: Speed::Times(0.001),
            from,
            until,
            again: true,
            wait: false,
            end: false,
        };
        let mut show = Show::new(&timeline, pace);
        assert_eq!(asked(&mut show, false, 5), "[1]");
        assert_eq!(asked(&mut show, false, u64::MAX - 1), "[1]");
    }

    #[test]
    fn a_part_begins_with_the_document_as_of_its_first_moment() {
        let mut part = show(|pace| (pace.from, pace.until) = (11_500, 12_500));
        assert_eq!(asked(&mut part, false, 0), "[2]");
        assert_eq!(asked(&mut part, false, 500), "503");
        assert_eq!(asked(&mut part, false, 5000), "503");
    }
}
