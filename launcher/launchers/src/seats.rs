//! Seats: which of the engines of a host each is. Pure.
//!
//! An engine takes its cores and GPUs by its seat. One that is started again has the seat that it had.

use ipclusterz_base::ids::EngineId;
use std::collections::BTreeMap;

/// Which engine of its host one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its number, from 0 on.
    pub index: u32,
    /// How many engines share the host.
    pub engines: u32,
}

impl Seat {
    /// The only one, or one that knows the others itself.
    pub const ALONE: Seat = Seat { index: 0, engines: 1 };
}

/// How far an engine is that has a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It was told to end, and does not come back.
    Leaving,
    /// It has ended by itself. It keeps its seat while there are others.
    Dead,
}

/// The seats of one host.
#[derive(Debug, Clone, Default)]
pub struct Seats(BTreeMap<EngineId, (Seat, Stage)>);

impl Seats {
    /// The seat of an engine that is started, where there are to be `engines`.
    pub fn take(&mut self, id: EngineId, engines: u32) -> Seat {
        if let Some((seat, stage)) = self.0.get_mut(&id) {
            *stage = Stage::Running;
            return *seat;
        }
        let mut index = self.free(|_| true);
        if index >= engines {
            index = self.free(|stage| stage != Stage::Dead);
            self.0.retain(|_, (seat, stage)| *stage != Stage::Dead || seat.index != index);
        }
        let seat = Seat { index, engines: engines.max(index.saturating_add(1)) };
        self.0.insert(id, (seat, Stage::Running));
        seat
    }

    /// An engine is told to end.
    pub fn leave(&mut self, id: EngineId) {
        if let Some((_, stage)) = self.0.get_mut(&id) {
            *stage = Stage::Leaving;
        }
    }

    /// An engine has ended.
    pub fn ended(&mut self, id: EngineId) {
        match self.0.get_mut(&id) {
            Some((_, stage)) if *stage != Stage::Leaving => *stage = Stage::Dead,
            _ => _ = self.0.remove(&id),
        }
    }

    /// The lowest number that none of these has.
    fn free(&self, counts: impl Fn(Stage) -> bool) -> u32 {
        let taken = |index: u32| self.0.values().any(|(seat, stage)| seat.index == index && counts(*stage));
        (0..u32::MAX).find(|index| !taken(*index)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u32) -> Seats {
        let mut seats = Seats::default();
        for id in 0..count {
            assert_eq!(seats.take(EngineId(id), count), Seat { index: id, engines: count });
        }
        seats
    }

    #[test]
    fn an_engine_that_comes_back_has_its_seat() {
        let mut seats = of(3);
        seats.ended(EngineId(1));
        seats.ended(EngineId(0));
        // There is another one, and the two are started again.
        assert_eq!(seats.take(EngineId(7), 4), Seat { index: 3, engines: 4 });
        assert_eq!(seats.take(EngineId(1), 4), Seat { index: 1, engines: 3 });
        assert_eq!(seats.take(EngineId(0), 4), Seat { index: 0, engines: 3 });
    }

    #[test]
    fn a_seat_is_free_when_its_engine_was_told_to_end_or_no_other_is() {
        let mut seats = of(3);
        seats.leave(EngineId(1));
        assert_eq!(seats.take(EngineId(9), 3).index, 3, "it is not over yet");
        seats.ended(EngineId(1));
        assert_eq!(seats.take(EngineId(3), 3), Seat { index: 1, engines: 3 });
        seats.ended(EngineId(2));
        assert_eq!(seats.take(EngineId(4), 3), Seat { index: 2, engines: 3 });
        assert_eq!(seats.take(EngineId(2), 3), Seat { index: 4, engines: 5 });
    }
}
