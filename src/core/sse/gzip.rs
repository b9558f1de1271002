//! Gzip streams that are put together from shared blocks ([RFC 1951], [RFC 1952]).
//!
//! Owns what compression knows. A stream is [`HEADER`], blocks, and [`Checksum::trailer`]. Every
//! block ends at a byte and with an empty stored block, so that a client can show what it holds as
//! soon as it has it. Promises that a text is compressed once for any number of streams:
//!
//! - an **independent** block looks back to nothing and fits any stream at any position;
//! - a **chained** block looks back into the blocks of its chain before it, and fits a stream
//!   which has just those, with nothing in between; the first of a chain is independent.
//!
//! [RFC 1951]: https://www.rfc-editor.org/rfc/rfc1951
//! [RFC 1952]: https://www.rfc-editor.org/rfc/rfc1952

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// What every stream begins with (RFC 1952 section 2.3): no name, no time, unknown system.
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last block (RFC 1951 section 3.2.6: the end-of-block code alone).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];
/// Texts up to this size are not worth a compressor: the end of a compressed block alone takes
/// five bytes and more.
const TINY: usize = 64;
/// The longest text of a stored block (RFC 1951 section 3.2.4).
const MAX_STORED: usize = 0xffff;
/// From here on time counts more than the last percent: a document of 16 MiB holds up others.
const LARGE: usize = 1 << 20;
/// A chain looks back 32 KiB at most (RFC 1951 section 2); longer texts gain nothing.
pub const MAX_CHAINED: usize = 64 << 10;
/// How many blocks a chain has, before the next begins, which newcomers can join. On the recorded
/// `fires` twice as many take 4 % less, half as many 6 % more.
const CHAIN_BLOCKS: usize = 32;
/// How hard a chain is compressed: on the same polls zlib-ng's level 6 takes 30 % more, 9 no less.
const CHAIN_LEVEL: u32 = 8;

/// A compressed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What to send.
    pub bytes: Vec<u8>,
    /// What the text counts in the stream's checksum.
    pub sum: Sum,
    /// How it was made.
    pub form: Form,
}

/// How a block was made; the label under which it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Compressed by itself.
    Independent,
    /// Compressed behind the event before.
    Chained,
    /// Not compressed: a short text, or one that only grows.
    Stored,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 3] = [Form::Independent, Form::Chained, Form::Stored];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Independent => "independent",
            Form::Chained => "chained",
            Form::Stored => "stored",
        }
    }
}

/// The checksum of a piece of a stream, ready to be appended to any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    crc: u32,
    len: u32,
    /// x^(8 * length of the piece) modulo the CRC's polynomial.
    shift: u32,
}

/// The checksum of all that one stream has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    crc: u32,
    len: u32,
}

/// Compresses texts that follow each other.
#[derive(Debug)]
pub struct Chain {
    deflate: Compress,
    blocks: usize,
}

impl Block {
    /// An independent block.
    pub fn independent(text: &[u8]) -> Self {
        let stored = || Self::of(stored(text), text, Form::Stored);
        if text.len() <= TINY {
            return stored();
        }
        let level = match text.len() {
            ..LARGE => Compression::default(),
            _ => Compression::fast(),
        };
        let bytes = deflate(&mut Compress::new(level, false), text, FlushCompress::Full);
        if text.len() <= MAX_STORED && bytes.len() > text.len() + 5 {
            return stored();
        }
        Self::of(bytes, text, Form::Independent)
    }

    fn of(bytes: Vec<u8>, text: &[u8], form: Form) -> Self {
        let sum = Sum::of(text);
        Self { bytes, sum, form }
    }
}

/// A whole file of this text (RFC 1952 section 2.2).
pub fn file(text: &[u8]) -> Vec<u8> {
    let block = Block::independent(text);
    let mut sum = Checksum::default();
    sum.add(block.sum);
    [&HEADER[..], &block.bytes, &sum.trailer()].concat()
}

/// The text as it is, in blocks of its own.
fn stored(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 5);
    for part in text.chunks(MAX_STORED) {
        let length = part.len() as u16;
        bytes.push(0);
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

fn deflate(deflate: &mut Compress, text: &[u8], flush: FlushCompress) -> Vec<u8> {
    // Room for what cannot be compressed, and the flush.
    let mut bytes = Vec::with_capacity(text.len() / 2 + 64);
    let before = deflate.total_in();
    loop {
        let done = (deflate.total_in() - before) as usize;
        let status = deflate.compress_vec(&text[done..], &mut bytes, flush);
        let status = status.expect("invariant: a compressor in use takes any text");
        let all_in = (deflate.total_in() - before) as usize == text.len();
        // Room that is left over says that nothing is held back.
        if status == Status::BufError || (all_in && bytes.len() < bytes.capacity()) {
            break;
        }
        bytes.reserve(bytes.len().max(64));
    }
    bytes.shrink_to_fit();
    bytes
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            deflate: Compress::new(Compression::new(CHAIN_LEVEL), false),
            blocks: 0,
        }
    }
}

impl Chain {
    /// The next block, and whether a chain begins with it: it is independent then.
    pub fn next(&mut self, text: &[u8]) -> (Block, bool) {
        let begins = self.blocks == 0;
        self.blocks = (self.blocks + 1) % CHAIN_BLOCKS;
        // What comes after a full flush looks back to nothing before it.
        let flush = match self.blocks {
            0 => FlushCompress::Full,
            _ => FlushCompress::Sync,
        };
        let bytes = deflate(&mut self.deflate, text, flush);
        (Block::of(bytes, text, Form::Chained), begins)
    }

    /// Ends the chain: another begins with the next block.
    pub fn restart(&mut self) {
        self.deflate.reset();
        self.blocks = 0;
    }
}

impl Sum {
    /// The checksum of this text.
    pub fn of(text: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(text);
        Self {
            crc: crc.sum(),
            len: text.len() as u32,
            shift: shift_by(text.len()),
        }
    }

    /// The checksum of this and then `next`.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        Self {
            crc: multiply(next.shift, self.crc) ^ next.crc,
            len: self.len.wrapping_add(next.len),
            shift: multiply(self.shift, next.shift),
        }
    }
}

impl Default for Sum {
    /// Of nothing.
    fn default() -> Self {
        Self::of(b"")
    }
}

impl Checksum {
    /// The stream carried this, too.
    pub fn add(&mut self, sum: Sum) {
        self.crc = multiply(sum.shift, self.crc) ^ sum.crc;
        self.len = self.len.wrapping_add(sum.len);
    }

    /// What the stream ends with (RFC 1952 section 2.3.1): an empty last block, the CRC and the
    /// length modulo 2^32.
    pub fn trailer(&self) -> [u8; 10] {
        let mut trailer = [0; 10];
        trailer[..2].copy_from_slice(&LAST_BLOCK);
        trailer[2..6].copy_from_slice(&self.crc.to_le_bytes());
        trailer[6..].copy_from_slice(&self.len.to_le_bytes());
        trailer
    }
}

/// The CRC's polynomial (RFC 1952 section 8), bits reversed: the top bit is x^0.
const POLYNOMIAL: u32 = 0xedb8_8320;
const ONE: u32 = 1 << 31;

/// The product of two polynomials over GF(2), modulo the CRC's.
fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & ONE != 0 {
            product ^= b;
        }
        a <<= 1;
        b = (b >> 1) ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// x^(8 * length), by squaring.
fn shift_by(length: usize) -> u32 {
    let (mut power, mut square) = (ONE, ONE >> 8);
    let mut left = length;
    while left > 0 {
        if left & 1 == 1 {
            power = multiply(power, square);
        }
        square = multiply(square, square);
        left >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn whole(blocks: &[&Block]) -> Vec<u8> {
        let mut sum = Checksum::default();
        let mut stream = HEADER.to_vec();
        for block in blocks {
            stream.extend(&block.bytes);
            sum.add(block.sum);
        }
        stream.extend(sum.trailer());
        stream
    }

    fn decode(stream: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(stream);
        decoder.read_to_end(&mut text).expect("a gzip stream");
        assert!(decoder.into_inner().is_empty(), "nothing is left over");
        text
    }

    #[test]
    fn an_empty_stream_is_one() {
        assert_eq!(decode(&whole(&[])), b"");
        assert_eq!(decode(&whole(&[&Block::independent(b"")])), b"");
    }

    #[test]
    fn what_cannot_be_compressed_is_stored() {
        let noise: Vec<u8> = (0..40_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761).rotate_left(n % 31) >> 11) as u8)
            .collect();
        let block = Block::independent(&noise);
        assert!(block.bytes.len() <= noise.len() + 5);
        assert_eq!(decode(&whole(&[&block])), noise);
        let tiny = Block::independent(b":\n\n");
        assert_eq!(tiny.bytes, b"\0\x03\0\xfc\xff:\n\n");
    }

    #[test]
    fn large_texts_are_whole() {
        for size in [MAX_STORED, LARGE, 3 * LARGE] {
            let text: Vec<u8> = (0..size).map(|n| (n % 251 * (n >> 12)) as u8).collect();
            assert!(decode(&whole(&[&Block::independent(&text)])) == text);
        }
    }

    #[test]
    fn a_chain_begins_anew_from_time_to_time() {
        let mut chain = Chain::default();
        let begins: Vec<bool> = (0..3 * CHAIN_BLOCKS)
            .map(|n| chain.next(format!("event {n}").as_bytes()).1)
            .collect();
        let wanted: Vec<bool> = (0..3 * CHAIN_BLOCKS)
            .map(|n| n % CHAIN_BLOCKS == 0)
            .collect();
        assert_eq!(begins, wanted);
    }

    proptest! {
        /// A stream joins a chain where one begins, and leaves it whenever something else comes.
        #[test]
        fn blocks_fit_together(
            texts in prop::collection::vec("[a-d]{0,300}", 1..200),
            others in prop::collection::vec(prop::bool::weighted(0.02), 200),
        ) {
            let mut chain = Chain::default();
            let (mut blocks, mut plain, mut is_in) = (Vec::new(), String::new(), false);
            for (text, other) in texts.iter().zip(others) {
                let (block, begins) = chain.next(text.as_bytes());
                if other {
                    blocks.push(Block::independent(b"something else, which is no part of it"));
                    plain.push_str("something else, which is no part of it");
                    is_in = false;
                }
                is_in |= begins;
                blocks.push(if is_in { block } else { Block::independent(text.as_bytes()) });
                plain.push_str(text);
            }
            let blocks: Vec<&Block> = blocks.iter().collect();
            prop_assert_eq!(decode(&whole(&blocks)), plain.as_bytes());
        }

        #[test]
        fn sums_add_up(a in prop::collection::vec(any::<u8>(), 0..2000), b in "\\PC{0,200}") {
            let both = [&a[..], b.as_bytes()].concat();
            prop_assert_eq!(Sum::of(&a).and(Sum::of(b.as_bytes())), Sum::of(&both));
        }
    }
}
