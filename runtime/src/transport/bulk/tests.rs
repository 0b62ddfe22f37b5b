//! Two ends of a link, and somebody between them who reads, changes, repeats, swaps and cuts what passes.

use super::connection::Connection;
use super::door::Door;
use super::driver::{BulkEvent, Driver, LinkId, LinkPlan, Manner};
use super::inbox::{Inbox, Parcel};
use super::outbox::Outbox;
use super::payload::Payload;
use super::secure::{ANSWER, PREAMBLE, TAG, Ticket};
use super::sockets::Waits;
use super::thrift::Thrift;
use crate::transport::wake::Waker;
use crate::wire::Frame;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const LINK: LinkId = LinkId(1);
/// Bytes of the record with which the dialler shows that it has the key.
const PROOF: usize = 2 + 1 + TAG;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 251) as u8).collect()
}

/// One end, and what it was told.
struct End {
    driver: Driver,
    events: Vec<BulkEvent>,
}

impl End {
    fn new() -> End {
        let waker = Arc::new(Waker::new().expect("waker"));
        End { driver: Driver::start(waker).expect("thread"), events: Vec::new() }
    }

    /// The first event that is like this.
    fn wait<T>(&mut self, what: &str, like: impl Fn(&BulkEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.events.extend(self.driver.events());
            if let Some(found) = self.events.iter().find_map(&like) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: {:?}", self.events);
            std::thread::yield_now();
        }
    }

    fn up(&mut self) {
        self.wait("the link stands", |event| matches!(event, BulkEvent::Up(_)).then_some(()));
    }

    fn down(&mut self) -> String {
        self.wait("the link ends", |event| match event {
            BulkEvent::Down(_, why) => Some(why.clone()),
            _ => None,
        })
    }

    fn parcel(&mut self, number: u64) -> Frame {
        self.wait("a parcel", |event| match event {
            BulkEvent::Parcel(_, found, Parcel::Frame(frame)) if *found == number => Some(frame.clone()),
            _ => None,
        })
    }

    fn has_parcels(&mut self) -> bool {
        self.events.extend(self.driver.events());
        self.events.iter().any(|event| matches!(event, BulkEvent::Parcel(..)))
    }
}

fn plan(payload: Payload) -> LinkPlan {
    LinkPlan { ticket: Ticket::new().expect("chance"), manner: Manner { payload, compress: true }, shelf: None }
}

/// A controller's end, which expects this link.
fn expecting(plan: &LinkPlan) -> (Door, std::os::fd::OwnedFd, End) {
    let (door, libzmq) = Door::open("127.0.0.1:0").expect("door");
    let end = End::new();
    door.expect(LINK, plan.clone(), &end.driver);
    (door, libzmq, end)
}

/// What becomes of bytes on their way: those of the dialler first.
type Change = Box<dyn FnMut(&mut Vec<u8>) -> bool + Send>;

/// A relay to `to`. A change that returns false cuts the connection.
fn relay(to: SocketAddr, changes: [Change; 2]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        let (from, _) = listener.accept().expect("somebody");
        drop(listener);
        let to = TcpStream::connect(to).expect("door");
        let pairs = [(from.try_clone(), to.try_clone()), (Ok(to), Ok(from))];
        for ((from, to), mut change) in pairs.into_iter().zip(changes) {
            let (mut from, mut to) = (from.expect("socket"), to.expect("socket"));
            std::thread::spawn(move || {
                let mut room = [0; 1 << 16];
                while let Ok(length @ 1..) = from.read(&mut room) {
                    let mut bytes = room[..length].to_vec();
                    let goes_on = change(&mut bytes);
                    if to.write_all(&bytes).is_err() || !goes_on {
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

fn untouched() -> Change {
    Box::new(|_| true)
}

/// Changes one bit of the byte at this place of the stream.
fn flip(place: usize) -> Change {
    let mut passed = 0;
    Box::new(move |bytes| {
        if let Some(byte) = place.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        passed += bytes.len();
        true
    })
}

#[test]
fn parcels_pass_in_both_directions() {
    for payload in [Payload::Sealed, Payload::ThroughSsh, Payload::Plain] {
        let plan = plan(payload);
        let (door, _libzmq, mut there) = expecting(&plan);
        let mut here = End::new();
        here.driver.dial(LINK, plan, door.address);
        here.up();
        there.up();
        let sizes = [1, 65_519, 65_520, 1 << 20, 16 * 65_519 + 1, 9_000_001];
        for (number, size) in sizes.iter().enumerate() {
            here.driver.send(LINK, number as u64, Frame::from(bytes(*size)));
            there.driver.send(LINK, number as u64, Frame::from(bytes(*size)));
        }
        for (number, size) in sizes.iter().enumerate() {
            assert_eq!(&*here.parcel(number as u64), &bytes(*size)[..]);
            assert_eq!(&*there.parcel(number as u64), &bytes(*size)[..]);
        }
        drop(here);
        assert_eq!(there.down(), "the other side has closed it");
    }
}

#[test]
fn what_is_left_to_send_goes_before_the_end() {
    let plan = plan(Payload::Sealed);
    let (door, _libzmq, mut there) = expecting(&plan);
    let mut here = End::new();
    here.driver.dial(LINK, plan, door.address);
    here.up();
    here.driver.send(LINK, 7, Frame::from(bytes(20 << 20)));
    here.driver.finish(PATIENCE);
    assert_eq!(there.parcel(7).len(), 20 << 20);
}

#[test]
fn nothing_that_was_changed_is_taken() {
    // In the preamble, the record that shows the key, the length and the head of a record, its tag, and the payload.
    let record = PREAMBLE + PROOF;
    let places =
        [0, 3, 8, 23, 24, 60, PREAMBLE - 1, PREAMBLE, PREAMBLE + 3, record, record + 1, record + 2, record + 40];
    for place in places.into_iter().chain([record + 60, record + 1000, record + 70_000]) {
        let plan = plan(Payload::Sealed);
        let (door, _libzmq, mut there) = expecting(&plan);
        let mut here = End::new();
        here.driver.dial(LINK, plan, relay(door.address, [flip(place), untouched()]));
        here.driver.send(LINK, 1, Frame::from(bytes(100_000)));
        here.down();
        assert!(!there.has_parcels(), "byte {place} was changed");
    }
}

#[test]
fn no_answer_that_was_changed_is_taken() {
    for place in [0, 31, 32, ANSWER - 1, ANSWER, ANSWER + 1, ANSWER + 9, ANSWER + 90, ANSWER + 900] {
        let plan = plan(Payload::Sealed);
        let (door, _libzmq, there) = expecting(&plan);
        let mut here = End::new();
        here.driver.dial(LINK, plan, relay(door.address, [untouched(), flip(place)]));
        there.driver.send(LINK, 1, Frame::from(bytes(1_000)));
        // The link of the other end may not stand yet: it sends when it does.
        let deadline = Instant::now() + PATIENCE;
        while !here.events.iter().any(|event| matches!(event, BulkEvent::Down(..))) {
            there.driver.send(LINK, 2, Frame::from(bytes(1_000)));
            here.events.extend(here.driver.events());
            assert!(Instant::now() < deadline, "byte {place} was changed");
        }
        assert!(!here.has_parcels(), "byte {place} was changed");
    }
}

#[test]
fn what_was_recorded_is_worth_nothing_later() {
    let plan = plan(Payload::Sealed);
    let (door, _libzmq, mut there) = expecting(&plan);
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&recorded);
    let keep = Box::new(move |bytes: &mut Vec<u8>| {
        record.lock().expect("lock").extend_from_slice(bytes);
        true
    });
    let mut here = End::new();
    here.driver.dial(LINK, plan.clone(), relay(door.address, [keep, untouched()]));
    here.up();
    here.driver.send(LINK, 1, Frame::from(bytes(1_000)));
    there.parcel(1);
    drop(here);
    there.down();
    there.events.clear();
    // The same bytes again, to the door that still expects the link.
    door.expect(LINK, plan, &there.driver);
    let mut again = TcpStream::connect(door.address).expect("door");
    again.write_all(&recorded.lock().expect("lock")).expect("writes");
    let mut answer = Vec::new();
    again.set_read_timeout(Some(PATIENCE)).expect("socket");
    let _ = again.read_to_end(&mut answer);
    assert!(answer.len() <= ANSWER, "it is answered with another key at most, and closed");
    assert!(there.events.is_empty() && !there.has_parcels());
}

#[test]
fn what_was_sent_is_not_taken_back() {
    // Somebody answers a dialler with its own bytes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let mut here = End::new();
    here.driver.dial(LINK, plan(Payload::Sealed), listener.local_addr().expect("address"));
    let (mut from, _) = listener.accept().expect("somebody");
    let mut preamble = [0; PREAMBLE];
    from.read_exact(&mut preamble).expect("preamble");
    from.write_all(&preamble[PREAMBLE - ANSWER..]).expect("writes");
    assert!(here.down().contains("not written by who has the key"));
}

#[test]
fn what_is_cut_off_is_not_taken_for_the_whole() {
    let plan = plan(Payload::Sealed);
    let (door, _libzmq, mut there) = expecting(&plan);
    let (mut left, here) = (600_000, End::new());
    let cut = Box::new(move |bytes: &mut Vec<u8>| {
        bytes.truncate(left);
        left -= bytes.len();
        left > 0
    });
    here.driver.dial(LINK, plan, relay(door.address, [cut, untouched()]));
    here.driver.send(LINK, 1, Frame::from(bytes(1 << 20)));
    there.up();
    there.down();
    assert!(!there.has_parcels());
}

#[test]
fn records_of_one_connection_are_worth_nothing_on_another() {
    let plan = plan(Payload::Sealed);
    let (door, _libzmq, mut there) = expecting(&plan);
    // The second connection gets what the first one sends behind its handshake.
    let (give, taken) = mpsc::channel::<Vec<u8>>();
    let mut passed = 0;
    let steal = Box::new(move |bytes: &mut Vec<u8>| {
        let own = (PREAMBLE + PROOF).saturating_sub(passed).min(bytes.len());
        passed += bytes.len();
        let stolen = bytes.split_off(own);
        if !stolen.is_empty() {
            let _ = give.send(stolen);
        }
        true
    });
    let (mut one, other) = (End::new(), End::new());
    one.driver.dial(LINK, plan.clone(), relay(door.address, [steal, untouched()]));
    one.up();
    there.up();
    let mut begun = 0;
    let put_in = Box::new(move |bytes: &mut Vec<u8>| {
        begun += bytes.len();
        if begun >= PREAMBLE + PROOF {
            bytes.extend(taken.recv_timeout(PATIENCE).unwrap_or_default());
        }
        true
    });
    one.driver.send(LINK, 1, Frame::from(bytes(1_000)));
    other.driver.dial(LINK, plan, relay(door.address, [put_in, untouched()]));
    there.down();
    assert!(!there.has_parcels());
}

#[test]
fn another_key_opens_nothing() {
    let (expected, mut tried) = (plan(Payload::Sealed), plan(Payload::Sealed));
    let (door, _libzmq, mut there) = expecting(&expected);
    // The number of the link is right, and the key is another's; then neither is.
    let unknown = tried.clone();
    tried.ticket.id = expected.ticket.id;
    for plan in [tried, unknown] {
        let mut here = End::new();
        here.driver.dial(LINK, plan, door.address);
        here.down();
    }
    assert!(there.events.is_empty() && !there.has_parcels());
}

#[test]
fn a_link_that_is_not_encrypted_still_knows_its_peer_and_its_parcels() {
    // Where a payload belongs is proven; the payload is not, as the profile says.
    let record = PREAMBLE + PROOF;
    for (place, is_taken) in [(60, false), (PREAMBLE + 3, false), (record + 10, false), (record + 60, true)] {
        let plan = plan(Payload::Plain);
        let (door, _libzmq, mut there) = expecting(&plan);
        let mut here = End::new();
        here.driver.dial(LINK, plan, relay(door.address, [flip(place), untouched()]));
        here.driver.send(LINK, 1, Frame::from(bytes(100_000)));
        if is_taken {
            assert_ne!(&*there.parcel(1), &bytes(100_000)[..]);
        } else {
            here.down();
            assert!(!there.has_parcels(), "byte {place} was changed");
        }
    }
}

/// What was given to a relay in one direction.
fn keep(kept: &Arc<Mutex<Vec<u8>>>) -> Change {
    let kept = Arc::clone(kept);
    Box::new(move |bytes| {
        kept.lock().expect("lock").extend_from_slice(bytes);
        true
    })
}

/// Whether a part of `bytes(...)` is in what passed.
fn has_payload(passed: &Mutex<Vec<u8>>) -> bool {
    let sample = bytes(64);
    passed.lock().expect("lock").windows(sample.len()).any(|window| window == sample)
}

#[test]
fn payloads_are_plain_where_both_ends_leave_them_to_ssh_or_to_the_network_and_nowhere_else() {
    use Payload::{Plain, Sealed, ThroughSsh};
    // The relay is a process of this user, as SSH would be.
    for (ours, theirs, plain) in [
        (ThroughSsh, ThroughSsh, true),
        (Plain, Plain, true),
        (ThroughSsh, Plain, true),
        (Sealed, ThroughSsh, false),
        (ThroughSsh, Sealed, false),
        (Sealed, Plain, false),
        (Plain, Sealed, false),
        (Sealed, Sealed, false),
    ] {
        let ours = plan(ours);
        let (door, _libzmq, mut there) =
            expecting(&LinkPlan { manner: Manner { payload: theirs, compress: true }, ..ours.clone() });
        let passed = [Arc::<Mutex<Vec<u8>>>::default(), Arc::default()];
        let mut here = End::new();
        here.driver.dial(LINK, ours, relay(door.address, [keep(&passed[0]), keep(&passed[1])]));
        here.up();
        there.up();
        here.driver.send(LINK, 1, Frame::from(bytes(100_000)));
        there.driver.send(LINK, 1, Frame::from(bytes(100_000)));
        assert_eq!((&*here.parcel(1), &*there.parcel(1)), (&bytes(100_000)[..], &bytes(100_000)[..]));
        assert_eq!([has_payload(&passed[0]), has_payload(&passed[1])], [plain, plain], "{theirs:?}");
    }
}

#[test]
fn nobody_on_the_way_has_payloads_left_plain() {
    // Whether the controller agrees to plain bytes is the last byte before the tag of its answer, and the dialler's word on it is the
    // one of its first record.
    for (upwards, place) in [(false, ANSWER - TAG - 1), (true, PREAMBLE + PROOF - TAG - 1)] {
        for payload in [Payload::Sealed, Payload::ThroughSsh] {
            let plan = plan(payload);
            let (door, _libzmq, mut there) = expecting(&plan);
            let mut here = End::new();
            let changes = if upwards { [flip(place), untouched()] } else { [untouched(), flip(place)] };
            here.driver.dial(LINK, plan, relay(door.address, changes));
            here.driver.send(LINK, 1, Frame::from(bytes(100_000)));
            here.down();
            assert!(!there.has_parcels(), "{payload:?} {place}");
        }
    }
}

#[test]
fn connections_of_libzmq_and_silent_ones_are_handed_over() {
    let (door, libzmq) = Door::open("127.0.0.1:0").expect("door");
    let mut speaks = TcpStream::connect(door.address).expect("door");
    speaks.write_all(&[0xff, 0, 0]).expect("writes");
    assert!(is_handed_over(&libzmq));
    let _silent = TcpStream::connect(door.address).expect("door");
    assert!(is_handed_over(&libzmq));
    drop(TcpStream::connect(door.address).expect("door"));
    assert!(is_handed_over(&libzmq));
}

fn is_handed_over(libzmq: &std::os::fd::OwnedFd) -> bool {
    use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
    let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = RecvAncillaryBuffer::new(&mut room);
    let mut word = [0];
    recvmsg(libzmq, &mut [std::io::IoSliceMut::new(&mut word)], &mut with, RecvFlags::empty()).expect("message");
    with.drain().count() == 1
}

/// A link that is known to be slow.
fn slow() -> Thrift {
    let (mut thrift, now) = (Thrift::new(true), Instant::now());
    thrift.full(now - Duration::from_secs(1), Waits::default());
    thrift.full(now, Waits::default());
    thrift
}

/// Sends a frame from one end to the other without a thread between: what came, and how many bytes have passed.
fn sent(frame: &Frame, payload: Payload, mut thrift: Thrift) -> (Frame, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let passed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&passed);
    let count: Change = Box::new(move |bytes| {
        counter.fetch_add(bytes.len(), Ordering::Relaxed);
        true
    });
    let between = relay(listener.local_addr().expect("address"), [count, untouched()]);
    let dialled = TcpStream::connect(between).expect("a connection");
    let (mut answered, _) = listener.accept().expect("a connection");
    let mio = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("socket");
        mio::net::TcpStream::from_std(stream.try_clone().expect("socket"))
    };
    let ticket = Ticket::new().expect("chance");
    let mut from = Connection::dial(mio(&dialled), &ticket, payload).expect("a preamble");
    let (mut outbox, mut inbox, mut parcels) = (Outbox::default(), Inbox::default(), Vec::new());
    outbox.push(1, frame.clone());
    from.may(true, true);
    from.write(&mut outbox, &mut thrift, 1).expect("a preamble");
    let mut preamble = [0; PREAMBLE];
    answered.read_exact(&mut preamble).expect("a preamble");
    let mut to = Connection::answer(mio(&answered), &ticket, &preamble, payload).expect("an answer");
    let deadline = Instant::now() + PATIENCE;
    while parcels.is_empty() {
        assert!(Instant::now() < deadline);
        for end in [&mut from, &mut to] {
            end.may(true, true);
            end.read(&mut inbox, &mut parcels).expect("a connection");
        }
        to.write(&mut Outbox::default(), &mut Thrift::new(false), 1).expect("a connection");
        from.write(&mut outbox, &mut thrift, 1).expect("a connection");
    }
    let Some((1, Parcel::Frame(found))) = parcels.pop() else { panic!("{parcels:?}") };
    (found, passed.load(Ordering::Relaxed))
}

#[test]
fn what_is_compressed_comes_back_and_what_cannot_be_travels_as_it_is() {
    let chance = || Ticket::new().expect("chance").key;
    let random = Frame::from((0..100_000).flat_map(|_| chance()).collect::<Vec<u8>>());
    let even = Frame::from(bytes(3 << 20));
    for payload in [Payload::Sealed, Payload::Plain] {
        let (found, wrote) = sent(&even, payload, slow());
        assert_eq!(found, even);
        assert!(wrote < even.len() / 5, "{wrote}");
        let (found, wrote) = sent(&even, payload, Thrift::new(true));
        assert_eq!(found, even);
        assert!(wrote > even.len(), "of a link that is not known to be slow: {wrote}");
        let (found, wrote) = sent(&random, payload, slow());
        assert_eq!(found, random);
        assert!(wrote > random.len());
    }
}
