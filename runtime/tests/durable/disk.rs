//! The journal as the disk has it: an image, the log since then, and how much of that is safe from a loss of power.

use ipclusterz_runtime::journal::record::{self, End};
use std::convert::Infallible;

/// Positions count all bytes that were ever appended, as those of a real journal do.
#[derive(Default)]
pub struct Disk {
    pub image: Vec<u8>,
    pub log: Vec<u8>,
    /// The position of the log's first byte.
    base: u64,
    /// Up to here everything survives a loss of power.
    pub synced: u64,
    /// Somebody waits until the disk has come so far.
    asked: u64,
    /// The last mark in the log says so much.
    marked: u64,
}

impl Disk {
    /// The end of what was written.
    pub fn position(&self) -> u64 {
        self.base + self.log.len() as u64
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.log.extend_from_slice(bytes);
    }

    /// What was written is to be safe soon.
    pub fn ask(&mut self) {
        self.asked = self.position();
    }

    /// The disk has done what it was asked for.
    pub fn sync(&mut self) {
        self.synced = self.synced.max(self.asked);
    }

    /// All that was written is on disk.
    pub fn sync_all(&mut self) {
        self.synced = self.position();
    }

    /// Whoever had asked is dead.
    pub fn forget_asker(&mut self) {
        self.asked = self.synced;
    }

    /// How far the log is on disk, if a mark has to say so.
    pub fn new_mark(&mut self) -> Option<u64> {
        let safe = self.synced.saturating_sub(self.base);
        (safe > self.marked).then(|| {
            self.marked = safe;
            safe
        })
    }

    /// Begins anew with this image.
    pub fn begin_anew(&mut self, image: Vec<u8>) {
        self.base = self.position();
        (self.image, self.synced, self.marked) = (image, self.base, 0);
        self.log.clear();
    }

    /// The host loses power: what is not safe may be cut off at any byte, or have a hole. `at` says where, in 65536ths.
    pub fn lose_power(&mut self, at: u16, hole: bool) {
        let safe = (self.synced - self.base) as usize;
        let unsafe_bytes = self.log.len() - safe;
        let place = safe + unsafe_bytes * usize::from(at) / usize::from(u16::MAX);
        if hole {
            let end = self.log.len().min(place + 40);
            self.log[place..end].fill(0);
        } else {
            self.log.truncate(place);
        }
    }

    /// Cuts off what is not whole. Returns the number of the next record.
    pub fn repair(&mut self) -> u32 {
        let (end, next) = record::read_all(&self.log, 0, |_, _| Ok::<(), Infallible>(())).expect("nothing is refused");
        match end {
            End::Whole => {}
            End::Torn(offset) => self.log.truncate(offset),
            End::Damaged(offset) => panic!("what was never said to be kept is called damaged, at {offset}"),
        }
        assert!(self.position() >= self.synced, "what was on disk is lost");
        self.marked = 0;
        next
    }
}
