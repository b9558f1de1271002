//! The events that every system delivers, and how a subscriber tells them apart.
//!
//! Each is a JSON Patch that replaces one text, as pollcast would write it. The text ends in a
//! mark, `#`, eight digits and `;`: whoever has read it has read the event, but for its last bytes.

/// Bytes of a mark.
pub const MARK: usize = 10;
/// What a patch says beside the text.
const PATCH: [&str; 2] = [r#"[{"op":"replace","path":"/event","value":""#, r#""}]"#];
/// Bytes that pollcast adds: `id` with an epoch, `event`, `data` and line breaks, for a sequence
/// of two digits.
const FIELDS: usize = 46;
/// Words make the text about as compressible as the texts of an API.
const WORDS: [&str; 32] = [
    "order",
    "packed",
    "street",
    "customer",
    "paid",
    "waiting",
    "north",
    "evacuation",
    "acres",
    "closed",
    "lane",
    "power",
    "restored",
    "county",
    "crew",
    "assigned",
    "percent",
    "contained",
    "estimate",
    "updated",
    "queue",
    "depot",
    "driver",
    "invoice",
    "refund",
    "bridge",
    "signal",
    "river",
    "level",
    "rising",
    "tender",
    "gross",
];

/// The patch that is event `number`, as JSON; together with what pollcast adds, `size` bytes.
pub fn patch(number: u32, size: usize) -> String {
    let fixed = PATCH[0].len() + PATCH[1].len() + FIELDS;
    format!(
        "{}{}{}",
        PATCH[0],
        text(number, size.saturating_sub(fixed)),
        PATCH[1]
    )
}

/// The document after event `number`; `ballast` bytes in it never change, so that the patch is
/// smaller than the document.
pub fn document(number: u32, size: usize, ballast: usize) -> String {
    let fixed = PATCH[0].len() + PATCH[1].len() + FIELDS;
    let text = text(number, size.saturating_sub(fixed));
    format!(r#"{{"event":"{text}","ballast":"{}"}}"#, words(0, ballast))
}

/// The event as pollcast frames it in a chunked response.
pub fn chunk(number: u32, size: usize) -> String {
    let event = format!(
        "id: 5b1c9a0c6f3de210-{number}\nevent: patch\ndata: {}\n\n",
        patch(number, size)
    );
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// At least a mark, else `len` bytes.
fn text(number: u32, len: usize) -> String {
    let mut text = words(number, len.saturating_sub(MARK));
    text.push_str(&format!("#{number:08};"));
    text
}

fn words(seed: u32, len: usize) -> String {
    let mut text = String::with_capacity(len + 16);
    let mut state = u64::from(seed) * 2 + 1;
    while text.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 59) as usize]);
        text.push(' ');
    }
    text.truncate(len);
    text
}

/// What one subscriber has seen of the stream.
#[derive(Clone, Copy, Default)]
pub struct Follower {
    last: Option<u32>,
    carried: u8,
    carry: [u8; MARK],
}

impl Follower {
    /// One that is told where the stream is, or else gets the events after `after`.
    pub fn new(is_greeted: bool, after: u32) -> Self {
        Self {
            last: (!is_greeted).then_some(after),
            ..Self::default()
        }
    }

    /// The newest event it has seen.
    pub fn last(&self) -> Option<u32> {
        self.last
    }

    /// Reads on in `buffer[from..to]`. The `MARK` bytes before are overwritten.
    ///
    /// # Errors
    /// When an event is not the one after the last, in words.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        from: usize,
        to: usize,
        mut seen: impl FnMut(u32),
    ) -> Result<(), String> {
        let carried = usize::from(std::mem::take(&mut self.carried));
        let mut at = from - carried;
        buffer[at..from].copy_from_slice(&self.carry[..carried]);
        while let Some(found) = memchr::memchr(b'#', &buffer[at..to]) {
            at += found;
            if to - at < MARK {
                self.carried = u8::try_from(to - at).expect("less than a mark");
                self.carry[..to - at].copy_from_slice(&buffer[at..to]);
                return Ok(());
            }
            let digits = std::str::from_utf8(&buffer[at + 1..at + MARK - 1]);
            let number = digits.ok().and_then(|digits| digits.parse().ok());
            let number: u32 = number.ok_or("a mark without a number")?;
            if self.last.is_some_and(|last| number != last + 1) {
                return Err(format!("event {number} came after {:?}", self.last));
            }
            self.last = Some(number);
            seen(number);
            at += MARK;
        }
        Ok(())
    }
}
