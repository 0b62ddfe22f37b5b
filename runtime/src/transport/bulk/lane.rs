//! One end of a link beside the `data` connection that it belongs to. What travels as parcels waits here for its message, and
//! messages wait for their parcels; the order of messages stays, of each strand where several peers share the connection. Pure.
//!
//! Over a shared connection a frame that several messages have goes once, as long as the sender remembers it. The receiver keeps
//! the parcel until the sender says that no further message has it.

use super::driver::LinkId;
use super::inbox::Parcel;
use crate::wire::Frame;
use crate::wire::parcels::{self, Malformed, Note};
use crate::wire::segment::Begun;
use crate::wire::strand::Strand;
use ipclusterz_base::ids::PeerId;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

/// Smaller frames stay in their message: they cost less there.
pub const PARCEL_MIN: usize = 64 << 10;
/// Most frames that are remembered at once: they are in memory as long.
const REMEMBERED_MAX: usize = 256;

/// A message that came, and which of its frames come as parcels.
struct Held {
    frames: Vec<Frame>,
    notes: Vec<Note>,
}

impl Held {
    /// Whether all that it waits for has come.
    fn is_here(&self, parcels: &HashMap<u64, Parcel>) -> bool {
        self.notes.iter().all(|note| parcels.get(&note.parcel).is_some_and(|parcel| parcel.bytes() == note.length))
    }
}

/// A message with all that it has.
#[derive(Debug, Default)]
pub struct Whole {
    /// Its frames; the header's is the first.
    pub frames: Vec<Frame>,
    /// Those of them that are in segments. In their places are empty ones.
    pub segments: Vec<Shelved>,
}

/// A frame that is in a segment.
#[derive(Debug)]
pub struct Shelved {
    /// Its place in the message.
    pub frame: usize,
    /// The segment. Other messages may have it, too.
    pub segment: Arc<Begun>,
    /// Its bytes.
    pub length: u64,
}

impl Shelved {
    /// Its bytes.
    pub fn bytes(&self) -> io::Result<Frame> {
        Ok(Frame::from_owner(self.segment.map(self.length)?))
    }

    /// Its name, with which it stays: as a segment of `owner`, or whose it was. Nobody else has it.
    pub fn into_name(self, owner: Option<PeerId>) -> io::Result<Frame> {
        let segment = Arc::into_inner(self.segment).ok_or(io::ErrorKind::ResourceBusy)?;
        let name = match owner {
            Some(owner) => segment.keep_for(owner)?,
            None => segment.keep(),
        };
        Ok(Frame::from(name.into_bytes()))
    }

    /// Another name for it, as a segment of `owner`.
    pub fn link(&self, owner: PeerId) -> io::Result<Frame> {
        Ok(Frame::from(self.segment.link(owner)?.into_bytes()))
    }
}

impl From<Vec<Frame>> for Whole {
    fn from(frames: Vec<Frame>) -> Self {
        Whole { frames, segments: Vec::new() }
    }
}

/// Frames that were sent and may be sent again, by where they are in memory.
#[derive(Default)]
struct Remembered {
    numbers: HashMap<(usize, usize), u64>,
    /// As long as these are held, nothing else is in their places.
    frames: Vec<Frame>,
}

impl Remembered {
    fn number_of(&self, frame: &Frame) -> Option<u64> {
        self.numbers.get(&(frame.as_ptr() as usize, frame.len())).copied()
    }

    fn remember(&mut self, frame: Frame, number: u64) {
        self.numbers.insert((frame.as_ptr() as usize, frame.len()), number);
        self.frames.push(frame);
    }
}

/// Who is at the ends of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// A peer and the controller.
    Peer,
    /// An agent and the controller; this is the controller's end.
    ToAgent,
    /// The agent's end.
    AtAgent,
}

/// See the file.
pub struct Lane {
    /// The link.
    pub link: LinkId,
    /// Parcels can be sent.
    pub up: bool,
    ends: Ends,
    /// How many were sent.
    sent: u64,
    remembered: Remembered,
    parcels: HashMap<u64, Parcel>,
    /// Parcels that are kept for those that still wait, and for no others.
    leaving: HashSet<u64>,
    held: BTreeMap<Strand, VecDeque<Held>>,
}

impl Lane {
    /// Of a link that does not stand yet.
    pub fn new(link: LinkId, ends: Ends) -> Lane {
        Lane {
            link,
            up: false,
            ends,
            sent: 0,
            remembered: Remembered::default(),
            parcels: HashMap::new(),
            leaving: HashSet::new(),
            held: BTreeMap::new(),
        }
    }

    /// Takes the large frames out of a payload: each is given to `send` with its number, unless it was before. The frame that
    /// goes before the header, if there were any.
    pub fn load(&mut self, payload: &mut [Frame], mut send: impl FnMut(u64, Frame)) -> Option<Frame> {
        if !self.up {
            return None;
        }
        let mut notes = Vec::new();
        for (frame, place) in payload.iter_mut().zip(1_u32..) {
            if frame.len() >= PARCEL_MIN {
                let length = frame.len() as u64;
                let parcel = self.number(std::mem::take(frame), &mut send);
                notes.push(Note { frame: place, parcel, length });
            }
        }
        (!notes.is_empty()).then(|| Frame::from(parcels::encode(&notes)))
    }

    /// The number under which a frame has gone, or goes now.
    fn number(&mut self, frame: Frame, send: &mut impl FnMut(u64, Frame)) -> u64 {
        if let Some(number) = self.remembered.number_of(&frame) {
            return number;
        }
        self.sent = self.sent.saturating_add(1);
        if self.ends == Ends::ToAgent {
            self.remembered.remember(frame.clone(), self.sent);
        }
        send(self.sent, frame);
        self.sent
    }

    /// Whether frames are remembered.
    pub fn remembers(&self) -> bool {
        !self.remembered.frames.is_empty()
    }

    /// Whether so many frames are remembered that some are to be forgotten.
    pub fn is_full(&self) -> bool {
        self.remembered.frames.len() >= REMEMBERED_MAX
    }

    /// Forgets the frames that were sent: the numbers of their parcels, which the other end keeps.
    pub fn forget(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.remembered).numbers.into_values().collect()
    }

    /// No message that is still to come has these parcels.
    pub fn forgotten(&mut self, numbers: Vec<u64>) {
        self.leaving.extend(numbers);
        self.let_go();
    }

    /// Lets go of parcels that nobody waits for.
    fn let_go(&mut self) {
        let Lane { leaving, parcels, held, .. } = self;
        if leaving.is_empty() {
            return;
        }
        let waiting: HashSet<u64> =
            held.values().flatten().flat_map(|held| held.notes.iter().map(|note| note.parcel)).collect();
        leaving.retain(|number| {
            // One that has not come is still to come, and goes then.
            let stays = waiting.contains(number) || !parcels.contains_key(number);
            if !stays {
                parcels.remove(number);
            }
            stays
        });
    }

    /// A message has come. It comes back at once, if it is its turn and all of it is here.
    pub fn take(&mut self, strand: Strand, mut frames: Vec<Frame>) -> Result<Option<Whole>, Malformed> {
        let mut notes = Vec::new();
        if frames.first().is_some_and(|first| parcels::begins(first)) {
            notes = parcels::decode(&frames.remove(0))?;
            let places = notes.last().map_or(0, |last| last.frame as usize);
            if places >= frames.len() {
                return Err(Malformed);
            }
        }
        if notes.is_empty() && !self.held.contains_key(&strand) {
            return Ok(Some(frames.into()));
        }
        self.held.entry(strand).or_default().push_back(Held { frames, notes });
        Ok(self.next_of(strand))
    }

    /// A parcel has come.
    pub fn arrived(&mut self, number: u64, parcel: Parcel) {
        self.parcels.insert(number, parcel);
        self.let_go();
    }

    /// The next message, if all of one is here, and whose it is.
    pub fn ready(&mut self) -> Option<(Strand, Whole)> {
        let next = self.held.iter().find(|(_, held)| held.front().is_some_and(|next| next.is_here(&self.parcels)));
        let strand = *next?.0;
        Some((strand, self.next_of(strand)?))
    }

    fn next_of(&mut self, strand: Strand) -> Option<Whole> {
        let parcels = &self.parcels;
        let held = self.held.get_mut(&strand)?;
        let next = held.pop_front_if(|next| next.is_here(parcels))?;
        if held.is_empty() {
            self.held.remove(&strand);
        }
        let mut whole = Whole::from(next.frames);
        for note in next.notes {
            self.put(&mut whole, note);
        }
        self.let_go();
        Some(whole)
    }

    /// Puts a parcel into its place.
    fn put(&mut self, whole: &mut Whole, note: Note) {
        let frame = note.frame as usize;
        let parcel = match self.ends {
            Ends::AtAgent => self.parcels.get(&note.parcel).cloned(),
            Ends::Peer | Ends::ToAgent => self.parcels.remove(&note.parcel),
        };
        match (parcel, whole.frames.get_mut(frame)) {
            (Some(Parcel::Frame(bytes)), Some(place)) => *place = bytes,
            (Some(Parcel::Segment(segment, length)), Some(_)) => {
                whole.segments.push(Shelved { frame, segment, length });
            }
            (_, None) | (None, _) => {}
        }
    }

    /// Whether messages wait for parcels.
    pub fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// No parcel will come any more. What waits for one stays, and what comes behind it: otherwise there would be a gap. It comes
    /// again when the session goes on over other connections.
    pub fn cut(&mut self) {
        self.up = false;
        self.parcels.clear();
        self.remembered = Remembered::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::strand::WHOLE;
    use proptest::prelude::*;

    fn frame(number: u8, length: usize) -> Frame {
        Frame::from(vec![number; length])
    }

    /// Messages from one lane, with the parcels beside them.
    fn loaded(lane: &mut Lane, sizes: &[Vec<usize>]) -> (Vec<Vec<Frame>>, Vec<(u64, Frame)>) {
        let (mut messages, mut parcels) = (Vec::new(), Vec::new());
        for (number, sizes) in sizes.iter().enumerate() {
            let mut payload: Vec<Frame> = sizes.iter().map(|size| frame(number as u8, *size)).collect();
            let notes = lane.load(&mut payload, |parcel, frame| parcels.push((parcel, frame)));
            messages.push(notes.into_iter().chain([Frame::from(vec![0x82, number as u8])]).chain(payload).collect());
        }
        (messages, parcels)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn messages_keep_their_order_and_get_their_parcels(
            sizes in prop::collection::vec(prop::collection::vec(prop_oneof![0..9_usize, PARCEL_MIN..PARCEL_MIN + 9], 0..4), 1..8),
            steps in prop::collection::vec(any::<bool>(), 64), turn: prop::sample::Index,
        ) {
            let (mut from, mut to) = (Lane::new(LinkId(1), Ends::Peer), Lane::new(LinkId(1), Ends::Peer));
            from.up = true;
            let (messages, mut parcels) = loaded(&mut from, &sizes);
            if !parcels.is_empty() {
                let turn = turn.index(parcels.len());
                parcels.rotate_left(turn);
            }
            let (mut messages, mut parcels, mut got) = (messages.into_iter(), parcels.into_iter(), Vec::new());
            let mut steps = steps.into_iter();
            loop {
                let first = steps.next().unwrap_or(true);
                let (message, parcel) = if first { (messages.next(), None) } else { (None, parcels.next()) };
                let parcel = parcel.or_else(|| message.is_none().then(|| parcels.next()).flatten());
                let message = message.or_else(|| parcel.is_none().then(|| messages.next()).flatten());
                if message.is_none() && parcel.is_none() {
                    break;
                }
                if let Some(message) = message {
                    got.extend(to.take(WHOLE, message).expect("notes"));
                }
                if let Some((number, frame)) = parcel {
                    to.arrived(number, Parcel::Frame(frame));
                }
                got.extend(std::iter::from_fn(|| to.ready()).map(|(_, whole)| whole));
            }
            prop_assert!(!to.waits());
            prop_assert_eq!(got.len(), sizes.len());
            for (number, (Whole { frames, .. }, sizes)) in got.iter().zip(&sizes).enumerate() {
                prop_assert_eq!(&*frames[0], &[0x82, number as u8][..]);
                let expected: Vec<Frame> = sizes.iter().map(|size| frame(number as u8, *size)).collect();
                prop_assert_eq!(&frames[1..], &expected[..]);
            }
        }
    }

    /// What goes over a shared connection: a message of a strand, or that all frames up to here are forgotten.
    #[derive(Debug)]
    enum Said {
        Message(Strand, Vec<Frame>),
        Forgotten(Vec<u64>),
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_frame_for_several_strands_goes_once_and_is_kept_until_all_have_it(
            // For each frame, who gets it, and whether the sender forgets it then.
            plan in prop::collection::vec((prop::collection::vec(1..4_u32, 1..6), any::<bool>()), 1..8),
            late in prop::collection::vec(any::<bool>(), 64), turn: prop::sample::Index,
        ) {
            let (mut from, mut to) = (Lane::new(LinkId(1), Ends::ToAgent), Lane::new(LinkId(1), Ends::AtAgent));
            from.up = true;
            let (mut said, mut parcels, mut expected) = (Vec::new(), Vec::new(), BTreeMap::<Strand, Vec<u8>>::new());
            for (number, (strands, forgets)) in plan.iter().enumerate() {
                let large = frame(number as u8, PARCEL_MIN);
                for strand in strands.iter().map(|strand| Strand(*strand)) {
                    let mut payload = [large.clone()];
                    let notes = from.load(&mut payload, |parcel, frame| parcels.push((parcel, frame)));
                    let message = notes.into_iter().chain([Frame::from(vec![0x82])]).chain(payload).collect();
                    said.push(Said::Message(strand, message));
                    expected.entry(strand).or_default().push(number as u8);
                }
                if *forgets {
                    said.push(Said::Forgotten(from.forget()));
                }
            }
            said.push(Said::Forgotten(from.forget()));
            prop_assert_eq!(parcels.len(), plan.len(), "each frame once");
            let turn = turn.index(parcels.len());
            parcels.rotate_left(turn);
            let (mut parcels, mut late) = (parcels.into_iter(), late.into_iter());
            let mut got = BTreeMap::<Strand, Vec<u8>>::new();
            let mut note = |strand: Strand, whole: Whole| got.entry(strand).or_default().push(whole.frames[1][0]);
            for said in said {
                match said {
                    Said::Message(strand, frames) => {
                        let whole = to.take(strand, frames).expect("notes");
                        whole.into_iter().for_each(|whole| note(strand, whole));
                    }
                    Said::Forgotten(numbers) => to.forgotten(numbers),
                }
                if late.next() == Some(false) {
                    parcels.next().into_iter().for_each(|(number, frame)| to.arrived(number, Parcel::Frame(frame)));
                }
                std::iter::from_fn(|| to.ready()).for_each(|(strand, whole)| note(strand, whole));
            }
            for (number, frame) in parcels {
                to.arrived(number, Parcel::Frame(frame));
                std::iter::from_fn(|| to.ready()).for_each(|(strand, whole)| note(strand, whole));
            }
            prop_assert_eq!(got, expected);
            prop_assert!(!to.waits() && to.parcels.is_empty() && to.leaving.is_empty());
        }
    }

    #[test]
    fn nothing_overtakes_what_waits_for_a_parcel_of_a_link_that_is_gone() {
        let (mut from, mut to) = (Lane::new(LinkId(1), Ends::Peer), Lane::new(LinkId(1), Ends::Peer));
        from.up = true;
        let (messages, _) = loaded(&mut from, &[vec![PARCEL_MIN], vec![1]]);
        for message in messages {
            assert!(matches!(to.take(WHOLE, message), Ok(None)));
        }
        to.up = true;
        to.cut();
        assert!(to.waits() && to.ready().is_none());
        let behind = to.take(WHOLE, vec![Frame::from(vec![0x82])]);
        assert!(matches!(behind, Ok(None)), "it would come without what was before it");
        assert!(!to.up);
    }

    #[test]
    fn notes_about_frames_that_are_not_there_are_refused() {
        let mut lane = Lane::new(LinkId(1), Ends::Peer);
        let notes = parcels::encode(&[Note { frame: 1, parcel: 1, length: 9 }]);
        assert!(matches!(lane.take(WHOLE, vec![Frame::from(notes), Frame::from(vec![0x82])]), Err(Malformed)));
    }

    #[test]
    fn without_a_link_nothing_is_taken_out() {
        let mut payload = [frame(1, PARCEL_MIN)];
        assert!(Lane::new(LinkId(1), Ends::Peer).load(&mut payload, |_, _| unreachable!()).is_none());
        assert_eq!(payload[0].len(), PARCEL_MIN);
    }
}
