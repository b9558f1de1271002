//! How far two texts run in step.

/// Two texts and the last stretch that they were found to share.
///
/// A question inside the stretch costs nothing, so a walk side by side compares each byte once,
/// however many levels of the document ask. A question elsewhere forgets the stretch.
pub(super) struct Lockstep<'a> {
    old: &'a [u8],
    new: &'a [u8],
    /// The stretch: where it starts on either side, and its length.
    old_at: usize,
    new_at: usize,
    len: usize,
}

impl<'a> Lockstep<'a> {
    pub(super) fn new(old: &'a [u8], new: &'a [u8]) -> Self {
        Self {
            old,
            new,
            old_at: 0,
            new_at: 0,
            len: 0,
        }
    }

    /// Whether the `len` bytes from `old_at` on are those from `new_at` on.
    pub(super) fn runs(&mut self, old_at: usize, new_at: usize, len: usize) -> bool {
        self.ahead(old_at, new_at) >= len
    }

    /// How many bytes from `old_at` on are those from `new_at` on.
    pub(super) fn ahead(&mut self, old_at: usize, new_at: usize) -> usize {
        let known = old_at.checked_sub(self.old_at);
        match known.filter(|skip| self.new_at + skip == new_at && *skip < self.len) {
            Some(skip) => self.len - skip,
            None => {
                self.len = common(&self.old[old_at..], &self.new[new_at..]);
                (self.old_at, self.new_at) = (old_at, new_at);
                self.len
            }
        }
    }
}

/// Bytes that are compared at once: where texts are short, and where they are long.
const LINE: usize = 32;
const PAGE: usize = 4096;

/// So many bytes are short.
const SHORT: usize = 2048;

/// The length of the common start of `a` and `b`.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let shorter = a.len().min(b.len());
    let (a, b) = (&a[..shorter], &b[..shorter]);
    // Texts that differ mostly do so soon; those that do not are compared as fast as memory allows.
    let mut len = by_words(&a[..shorter.min(SHORT)], &b[..shorter.min(SHORT)]);
    if len == SHORT {
        len += by_pages(&a[len..], &b[len..]);
        len += by_words(&a[len..], &b[len..]);
    }
    let rest = a[len..].iter().zip(&b[len..]);
    len + rest.take_while(|(a, b)| a == b).count()
}

/// As far as whole pages are the same.
fn by_pages(a: &[u8], b: &[u8]) -> usize {
    let (pages, _) = a.as_chunks::<PAGE>();
    let (others, _) = b.as_chunks::<PAGE>();
    let same = pages.iter().zip(others).take_while(|(a, b)| a == b);
    PAGE * same.count()
}

/// As far as whole words are the same.
fn by_words(a: &[u8], b: &[u8]) -> usize {
    let (lines, _) = a.as_chunks::<LINE>();
    let (others, _) = b.as_chunks::<LINE>();
    let word = |word: &[u8; 8]| u64::from_ne_bytes(*word);
    let same_line = |a: &[u8; LINE], b: &[u8; LINE]| {
        let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
        words.fold(0, |differs, (a, b)| differs | (word(a) ^ word(b))) == 0
    };
    let same = lines.iter().zip(others);
    let len = LINE * same.take_while(|(a, b)| same_line(a, b)).count();
    let (words, _) = a[len..].as_chunks::<8>();
    let (others, _) = b[len..].as_chunks::<8>();
    let same = words.iter().zip(others);
    len + 8 * same.take_while(|(a, b)| word(a) == word(b)).count()
}
