//! Many subscribers on one connection: as much of HTTP/2 (RFC 9113) as a client needs that asks
//! for the same thing on each stream and never stops reading.

use crate::crowd::Tally;
use crate::event::Follower;
use crate::http1::follow;

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// What a frame holds at most, as we announce nothing else.
const LARGEST: usize = 16_384;
/// The largest window there is.
const WINDOW: u32 = 0x7fff_ffff;
/// A connection's window before it is made larger.
const WINDOW_BEFORE: u32 = 65_535;
/// So much is read before the connection's window is filled up.
const FILL_UP: u32 = 0x4000_0000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What has come on one connection.
pub struct Streams {
    followers: Vec<Follower>,
    greeting: Option<u32>,
    ready: usize,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    taken: u32,
    /// What is to be sent.
    pub answer: Vec<u8>,
}

impl Streams {
    pub fn new(count: usize, greeting: Option<u32>, after: u32) -> Self {
        Self {
            followers: vec![Follower::new(greeting.is_some(), after); count],
            greeting,
            ready: 0,
            partial: Vec::new(),
            taken: 0,
            answer: Vec::new(),
        }
    }

    /// How many streams have begun.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Each stream's newest event.
    pub fn last(&self) -> impl Iterator<Item = Option<u32>> {
        self.followers.iter().map(Follower::last)
    }

    /// Puts what is left of the last read to the front of `buffer[at..]`; returns its length.
    pub fn restore(&mut self, buffer: &mut [u8], at: usize) -> usize {
        let left = self.partial.len();
        buffer[at..at + left].copy_from_slice(&self.partial);
        self.partial.clear();
        left
    }

    /// Takes `buffer[at..to]`, which begins with a frame.
    ///
    /// # Errors
    /// When it is not what the subscribers must get, in words.
    pub fn take(
        &mut self,
        buffer: &mut [u8],
        mut at: usize,
        to: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        while to - at >= HEAD {
            let length = usize::from(buffer[at]) << 16
                | usize::from(buffer[at + 1]) << 8
                | usize::from(buffer[at + 2]);
            if length > LARGEST {
                return Err(format!("a frame of {length} bytes"));
            }
            let end = at + HEAD + length;
            if to < end {
                break;
            }
            self.frame(buffer, at, end, tally)?;
            at = end;
        }
        self.partial.extend_from_slice(&buffer[at..to]);
        Ok(())
    }

    fn frame(
        &mut self,
        buffer: &mut [u8],
        at: usize,
        end: usize,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let (kind, flags) = (buffer[at + 3], buffer[at + 4]);
        let stream = u32::from_be_bytes(word(&buffer[at + 5..]));
        let body = at + HEAD;
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Err(format!("stream {stream} ended"));
        }
        match kind {
            DATA => {
                self.consumed((end - body) as u64);
                tally.payload += (end - body) as u64;
                let follower = self.followers.get_mut(stream as usize / 2);
                let follower = follower.ok_or("bytes on a stream that was not asked for")?;
                let was_ready = follower.last().is_some();
                follow(follower, self.greeting, buffer, body, end, tally)?;
                let is_ready = follower.last().is_some();
                self.ready += usize::from(is_ready && !was_ready);
            }
            // The first field is the status, and 200 has this index in HPACK's static table.
            HEADERS if buffer[body..end].first() != Some(&0x88) => {
                let head = &buffer[body..end.min(body + 8)];
                return Err(format!(
                    "stream {stream} was not answered with 200: {head:02x?}"
                ));
            }
            HEADERS if self.greeting.is_none() => self.ready += 1,
            SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.send(PING, ACK, 0, &buffer[body..end]),
            RST_STREAM => return Err(format!("stream {stream} was reset")),
            GOAWAY => return Err("the connection is over".to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// What a connection begins with: the preface, our settings, and a request on each stream.
    pub fn ask(&mut self, authority: &str, path: &str) {
        self.answer
            .extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // No pushes, windows that do not fill.
        let mut settings = Vec::new();
        for (setting, value) in [(2_u16, 0), (4, WINDOW)] {
            settings.extend_from_slice(&setting.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        self.send(SETTINGS, 0, 0, &settings);
        self.send(WINDOW_UPDATE, 0, 0, &(WINDOW - WINDOW_BEFORE).to_be_bytes());
        let head = request(authority, path);
        for index in 0..self.followers.len() {
            let stream = u32::try_from(index * 2 + 1).expect("a number of streams");
            self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head);
        }
    }

    fn consumed(&mut self, bytes: u64) {
        self.taken += u32::try_from(bytes).expect("a frame's length");
        if self.taken >= FILL_UP {
            let taken = std::mem::take(&mut self.taken);
            self.send(WINDOW_UPDATE, 0, 0, &taken.to_be_bytes());
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let length = u32::try_from(body.len())
            .expect("a short frame")
            .to_be_bytes();
        self.answer.extend_from_slice(&length[1..]);
        self.answer.extend_from_slice(&[kind, flags]);
        self.answer.extend_from_slice(&stream.to_be_bytes());
        self.answer.extend_from_slice(body);
    }
}

/// The request's head as HPACK (RFC 7541) without a dynamic table: names by their index in the
/// static one, values as they are.
fn request(authority: &str, path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], authority),
        (&[0x0f, 0x04], "text/event-stream"),
    ] {
        head.extend_from_slice(name);
        head.push(u8::try_from(value.len()).expect("a short value"));
        head.extend_from_slice(value.as_bytes());
    }
    head
}

fn word(bytes: &[u8]) -> [u8; 4] {
    bytes[..4].try_into().expect("invariant: four bytes")
}
