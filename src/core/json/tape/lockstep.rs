//! How far two texts run in step.

/// Two texts and the longest stretch that they are known to share.
///
/// A question inside the stretch costs nothing, so a walk over both texts compares each byte
/// about once, however many levels of the document ask.
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

/// The length of the common start of `a` and `b`.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let shorter = a.len().min(b.len());
    let (a, b) = (&a[..shorter], &b[..shorter]);
    // Texts that differ mostly do so soon; those that do not are compared as fast as memory allows.
    let mut len = in_step::<8>(&a[..shorter.min(64)], &b[..shorter.min(64)]);
    if len == 64 {
        len += in_step::<32>(&a[len..shorter.min(1024)], &b[len..shorter.min(1024)]);
    }
    if len == 1024 {
        len += in_step::<4096>(&a[len..], &b[len..]);
        len += in_step::<32>(&a[len..], &b[len..]);
    }
    len += in_step::<8>(&a[len..], &b[len..]);
    let rest = a[len..].iter().zip(&b[len..]);
    len + rest.take_while(|(a, b)| a == b).count()
}

/// As far as whole blocks are the same.
fn in_step<const BLOCK: usize>(a: &[u8], b: &[u8]) -> usize {
    let (blocks, _) = a.as_chunks::<BLOCK>();
    let (others, _) = b.as_chunks::<BLOCK>();
    let same = blocks.iter().zip(others).take_while(|(a, b)| a == b);
    BLOCK * same.count()
}
