//! The MPI extension module as the engine's own threads use it: by addresses of functions, without the interpreter.

use crate::wire::message::{Broken, Departure, EpochOver, Group, Left, Standing};

/// For what is told of communicators, unless there are very many.
const ROOM: usize = 16 << 10;

/// A text, and its length.
type Text = (*const u8, usize);
type EndEpoch = extern "C" fn(u64, *const u8, usize);
/// Name, epoch, reason, at once.
type BreakOff = extern "C" fn(*const u8, usize, u64, *const u8, usize, bool);
/// Epoch, how often its communicator was made anew, ranks.
type BeginTurn = extern "C" fn(u64, u64, *const u32, usize);
/// Rank, engine, reason, what it has entered.
type Leave = extern "C" fn(u32, u32, *const u8, usize, *const u8, usize);
/// Buffer, its room, and what is told; how long the text is. Nothing was written where it did not all fit.
type Tell = extern "C" fn(*mut u8, usize, u8) -> usize;

/// What [`Tell`] tells.
const CALLS: u8 = 0;
const TURN: u8 = 1;
const ENTERED: u8 = 2;

/// Functions of the MPI extension module that may be called without the interpreter.
#[derive(Debug, Clone, Copy)]
pub struct MpiFunctions {
    end_epoch: EndEpoch,
    break_off: BreakOff,
    begin_turn: BeginTurn,
    leave: Leave,
    tell: Tell,
}

impl MpiFunctions {
    /// By their addresses, as the module tells them.
    ///
    /// # Safety
    ///
    /// They must be what `addresses()` of a module gave that stays loaded.
    pub unsafe fn at(addresses: [usize; 5]) -> MpiFunctions {
        let [end_epoch, break_off, begin_turn, leave, tell] = addresses;
        // SAFETY: the caller vouches for the addresses; function pointers are as wide as `usize` here.
        unsafe {
            MpiFunctions {
                end_epoch: std::mem::transmute::<usize, EndEpoch>(end_epoch),
                break_off: std::mem::transmute::<usize, BreakOff>(break_off),
                begin_turn: std::mem::transmute::<usize, BeginTurn>(begin_turn),
                leave: std::mem::transmute::<usize, Leave>(leave),
                tell: std::mem::transmute::<usize, Tell>(tell),
            }
        }
    }

    /// Nobody is to wait for a rank of this epoch any longer.
    pub fn end_epoch(&self, over: &EpochOver) {
        let (reason, length) = text(&over.reason);
        (self.end_epoch)(over.epoch, reason, length);
    }

    /// Nobody is to use this communicator any more.
    pub fn break_off(&self, broken: &Broken) {
        let ((comm, length), (reason, reason_length)) = (text(&broken.comm), text(&broken.reason));
        (self.break_off)(comm, length, broken.epoch, reason, reason_length, broken.at_once);
    }

    /// A group begins something together. Nobody has left it.
    pub fn begin_turn(&self, group: &Group) {
        (self.begin_turn)(group.epoch, group.renewal, group.ranks.as_ptr(), group.ranks.len());
    }

    /// It is over for this engine.
    pub fn end_turn(&self) {
        (self.begin_turn)(0, 0, std::ptr::null(), 0);
    }

    /// Nobody is to wait for what a member has not entered.
    pub fn left(&self, left: &Left) {
        let ((why, length), (entered, room)) = (text(&left.departure.why), text(&left.departure.entered));
        (self.leave)(left.rank, left.engine.0, why, length, entered, room);
    }

    /// Where this engine stands in what the group does together; `why`: it leaves by an exception, if that is not empty.
    pub fn standing(&self, group: &Group, why: &str) -> Standing {
        let told = self.told(TURN);
        let (entered, comm) = told.split_once(' ').unwrap_or_default();
        let several = group.ranks.len() > 1;
        let departure = several.then(|| Departure { why: why.to_owned(), entered: self.told(ENTERED) });
        Standing { comm: comm.to_owned(), entered: entered.parse().ok(), departure }
    }

    /// The last call on each communicator, as JSON.
    pub fn calls(&self) -> String {
        self.told(CALLS)
    }

    fn told(&self, what: u8) -> String {
        let mut text = vec![0; ROOM];
        loop {
            let length = (self.tell)(text.as_mut_ptr(), text.len(), what);
            if length <= text.len() {
                text.truncate(length);
                return String::from_utf8_lossy(&text).into_owned();
            }
            text.resize(2 * length, 0);
        }
    }
}

fn text(text: &str) -> Text {
    (text.as_ptr(), text.len())
}
