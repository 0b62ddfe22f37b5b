//! Code of functions by hash, so that each travels to the controller once.

use crate::wire::Frame;
use crate::wire::message::FunctionName;
use std::collections::HashMap;
use std::num::Saturating;

/// Code that is kept for later calls, bytes.
const BYTES_MAX: usize = 64 << 20;
/// Functions that are kept.
const COUNT_MAX: usize = 4096;

#[derive(Debug)]
struct Known {
    code: Frame,
    last_use: u64,
    /// The controller of this session has it.
    sent: bool,
}

/// All functions in use lately.
#[derive(Debug, Default)]
pub struct Functions {
    known: HashMap<FunctionName, Known>,
    bytes: Saturating<usize>,
    clock: u64,
}

impl Functions {
    /// The code of `name`, taken from `code` if it is new.
    pub fn code(&mut self, name: FunctionName, code: &[u8]) -> Frame {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let known = self.known.entry(name).or_insert_with(|| {
            self.bytes += code.len();
            Known { code: Frame::from(code), last_use: 0, sent: false }
        });
        known.last_use = clock;
        known.code.clone()
    }

    /// Whether it is kept here.
    pub fn knows(&self, name: FunctionName) -> bool {
        self.known.contains_key(&name)
    }

    /// Whether the controller still has to be sent it; after this call it does not.
    pub fn first_use(&mut self, name: FunctionName) -> bool {
        self.known.get_mut(&name).is_none_or(|known| !std::mem::replace(&mut known.sent, true))
    }

    /// The controller has refused a request with it, and perhaps has not kept the code: it is sent again.
    pub fn refused(&mut self, name: FunctionName) {
        if let Some(known) = self.known.get_mut(&name) {
            known.sent = false;
        }
    }

    /// The controller of a new session has none.
    pub fn session_lost(&mut self) {
        self.known.values_mut().for_each(|known| known.sent = false);
    }

    /// Forgets the least used ones beyond the bounds; those that the controller is to forget too.
    pub fn evict(&mut self) -> Vec<FunctionName> {
        if self.bytes.0 <= BYTES_MAX && self.known.len() <= COUNT_MAX {
            return Vec::new();
        }
        let mut by_age: Vec<(u64, FunctionName)> =
            self.known.iter().map(|(name, known)| (known.last_use, *name)).collect();
        by_age.sort_unstable_by_key(|(last_use, _)| *last_use);
        // Down to half, so that this is rare; the newest stays, however large it is.
        let mut forgotten = Vec::new();
        by_age.pop();
        for (_, name) in &by_age {
            if self.bytes.0 <= BYTES_MAX / 2 && self.known.len() <= COUNT_MAX / 2 {
                break;
            }
            if let Some(known) = self.known.remove(name) {
                self.bytes -= known.code.len();
                if known.sent {
                    forgotten.push(*name);
                }
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_sent_once_for_each_session() {
        let mut functions = Functions::default();
        let name = FunctionName([1; 16]);
        assert_eq!(&*functions.code(name, b"code"), b"code");
        assert!(functions.first_use(name));
        assert!(!functions.first_use(name));
        functions.session_lost();
        assert!(functions.first_use(name));
        functions.refused(name);
        assert!(functions.first_use(name));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_newest_stays() {
        let mut functions = Functions::default();
        let code = vec![0; 8 << 20];
        for byte in 0..20 {
            let name = FunctionName([byte; 16]);
            functions.code(name, &code);
            functions.first_use(name);
            functions.evict();
            assert!(functions.bytes.0 <= BYTES_MAX);
            assert!(functions.known.contains_key(&name));
        }
    }
}
