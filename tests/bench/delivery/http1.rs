//! One subscriber on a connection of its own: the response head, chunks, gzip, events.

use flate2::{Decompress, FlushDecompress, Status};

use crate::crowd::Tally;
use crate::event::{Follower, MARK};

/// What `content-encoding: gzip` begins with where nothing is optional.
const GZIP_HEAD: usize = 10;
/// Text that one call of the decompressor may give.
const TEXT: usize = 128 * 1024;

/// What has come on one connection.
pub struct Response {
    stage: Stage,
    follower: Follower,
    greeting: Option<u32>,
    gzip: Option<Box<Gzip>>,
}

enum Stage {
    Head(Vec<u8>),
    /// In a body that lasts as long as the connection.
    Body,
    /// In a chunk's size line; so much of it was read.
    Size(usize),
    /// In a chunk, so many bytes of which are to come, the line break behind it included.
    Chunk(usize),
}

struct Gzip {
    head: usize,
    inflate: Decompress,
}

impl Response {
    pub fn new(greeting: Option<u32>, after: u32, is_gzip: bool) -> Self {
        let gzip = || {
            Box::new(Gzip {
                head: GZIP_HEAD,
                inflate: Decompress::new(false),
            })
        };
        Self {
            stage: Stage::Head(Vec::new()),
            follower: Follower::new(greeting.is_some(), after),
            greeting,
            gzip: is_gzip.then(gzip),
        }
    }

    /// The newest event that has come.
    pub fn last(&self) -> Option<u32> {
        self.follower.last()
    }

    /// Whether the stream has begun: what a new subscriber is told first has come.
    pub fn is_ready(&self) -> bool {
        match (&self.stage, self.greeting) {
            (Stage::Head(_), _) => false,
            (_, None) => true,
            (_, Some(greeting)) => self.last().is_some_and(|last| last >= greeting),
        }
    }

    /// Takes what was read, `buffer[from..to]`; the `MARK` bytes before are overwritten.
    ///
    /// # Errors
    /// When it is not what a subscriber must get, in words.
    pub fn take(
        &mut self,
        buffer: &mut [u8],
        mut from: usize,
        to: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        while from < to {
            match &mut self.stage {
                Stage::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(&buffer[from..to]);
                    let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
                        return Ok(());
                    };
                    let stage = after_head(&head[..end], self.gzip.is_some())?;
                    from += end + 4 - before;
                    self.stage = stage;
                }
                Stage::Body => {
                    self.payload(buffer, from, to, tally)?;
                    from = to;
                }
                Stage::Size(size) => {
                    let byte = buffer[from];
                    from += 1;
                    match char::from(byte).to_digit(16) {
                        Some(digit) => *size = *size * 16 + digit as usize,
                        None if byte == b'\r' => {}
                        None if byte == b'\n' && *size == 0 => {
                            return Err("the stream ended".to_owned());
                        }
                        None if byte == b'\n' => self.stage = Stage::Chunk(*size + 2),
                        None => return Err("a chunk without a size".to_owned()),
                    }
                }
                Stage::Chunk(left) => {
                    let here = (*left).min(to - from);
                    let payload = here.min((*left).saturating_sub(2));
                    *left -= here;
                    if *left == 0 {
                        self.stage = Stage::Size(0);
                    }
                    self.payload(buffer, from, from + payload, tally)?;
                    from += here;
                }
            }
        }
        Ok(())
    }

    fn payload(
        &mut self,
        buffer: &mut [u8],
        from: usize,
        to: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        tally.payload += (to - from) as u64;
        let Some(gzip) = &mut self.gzip else {
            return follow(&mut self.follower, self.greeting, buffer, from, to, tally);
        };
        let skipped = gzip.head.min(to - from);
        gzip.head -= skipped;
        let mut packed = &buffer[from + skipped..to];
        let mut text = std::mem::take(&mut tally.text);
        text.resize(MARK + TEXT, 0);
        loop {
            let before = (gzip.inflate.total_in(), gzip.inflate.total_out());
            let status = gzip
                .inflate
                .decompress(packed, &mut text[MARK..], FlushDecompress::Sync);
            let taken = usize::try_from(gzip.inflate.total_in() - before.0).expect("a size");
            let given = usize::try_from(gzip.inflate.total_out() - before.1).expect("a size");
            packed = &packed[taken..];
            match status {
                Ok(Status::StreamEnd) => return Err("the gzip stream ended".to_owned()),
                Ok(_) => {}
                Err(failure) => return Err(format!("gzip: {failure}")),
            }
            let (follower, greeting) = (&mut self.follower, self.greeting);
            follow(follower, greeting, &mut text, MARK, MARK + given, tally)?;
            if packed.is_empty() && given < TEXT || taken + given == 0 {
                break;
            }
        }
        tally.text = text;
        match packed.len() {
            0 => Ok(()),
            left => Err(format!("gzip: {left} bytes were not taken")),
        }
    }
}

/// Counts the events in a part of a stream, but for those that a new subscriber is told.
pub fn follow(
    follower: &mut Follower,
    greeting: Option<u32>,
    buffer: &mut [u8],
    from: usize,
    to: usize,
    tally: &mut Tally,
) -> Result<(), String> {
    follower.read(buffer, from, to, |number| {
        if greeting.is_none_or(|greeting| number > greeting) {
            tally.delivered(number);
        }
    })
}

/// What follows a head, if it is as it should be.
fn after_head(head: &[u8], is_gzip: bool) -> Result<Stage, String> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let line = head.lines().next().unwrap_or_default();
    if !line.starts_with("http/1.1 200 ") {
        return Err(format!("answered with {line}"));
    }
    if is_gzip != head.contains("\r\ncontent-encoding: gzip") {
        return Err("answered in another coding than was asked for".to_owned());
    }
    Ok(match head.contains("\r\ntransfer-encoding: chunked") {
        true => Stage::Size(0),
        false => Stage::Body,
    })
}
