//! Memory of the user's own, lent as guards by a [`Recycler`].

use parking_lot::Mutex;
use poolbuf::{PooledBuf, Recycle, Recycler};

/// Keeps what comes back.
struct Kept(Mutex<Vec<Memory>>);

/// Memory, and how many of its leading bytes a holder may have written.
struct Memory {
    bytes: Box<[u8]>,
    dirty: usize,
}

impl Recycle for Kept {
    fn recycle(&self, bytes: Box<[u8]>, dirty: usize) {
        self.0.lock().push(Memory { bytes, dirty });
    }
}

/// The recycler, and what is out.
pub(crate) struct OwnMemory {
    recycler: Recycler<Kept>,
    out: usize,
    made: usize,
}

impl OwnMemory {
    pub(crate) fn new() -> Self {
        OwnMemory {
            recycler: Recycler::new(Kept(Mutex::new(Vec::new()))),
            out: 0,
            made: 0,
        }
    }

    /// Lends `len` new bytes, or what came back last if there is something and `again`; and says how many of its
    /// leading bytes a holder may have written.
    pub(crate) fn lend(&mut self, len: usize, again: bool) -> (PooledBuf, usize) {
        let kept = if again { self.kept().pop() } else { None };
        let memory = kept.unwrap_or_else(|| {
            self.made += 1;
            Memory {
                bytes: vec![0; len].into(),
                dirty: 0,
            }
        });
        self.out += 1;
        let len = memory.bytes.len();
        let buf = self.recycler.lend(memory.bytes, memory.dirty).unwrap();
        assert_eq!((buf.capacity(), buf.slot()), (len, None));
        (buf, memory.dirty)
    }

    /// A guard of `capacity` bytes has been dropped, of which the first `expected` should count as dirty.
    pub(crate) fn came_back(&mut self, capacity: usize, expected: usize) {
        self.out -= 1;
        let kept = self.kept();
        let Memory { bytes, dirty } = kept.last().unwrap();
        assert_eq!((bytes.len(), *dirty), (capacity, expected));
        // It was all zero at first, and is never wiped.
        assert!(
            bytes[*dirty..].iter().all(|byte| *byte == 0),
            "dirty bytes are not counted"
        );
    }

    /// Nothing is lost.
    pub(crate) fn check(&self) {
        assert_eq!(self.kept().len(), self.made - self.out);
    }

    fn kept(&self) -> parking_lot::MutexGuard<'_, Vec<Memory>> {
        self.recycler.get_ref().0.lock()
    }
}
