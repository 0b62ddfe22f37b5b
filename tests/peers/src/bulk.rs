//! How fast one link of bulk connections is, in one direction, over this host's loopback.

use crate::arguments::BulkOptions;
use crate::engines::PeersError;
use ipclusterz_runtime::transport::bulk::door::Door;
use ipclusterz_runtime::transport::bulk::driver::{BulkEvent, Driver, LinkId, LinkPlan, Manner};
use ipclusterz_runtime::transport::bulk::payload::Payload;
use ipclusterz_runtime::transport::bulk::secure::Ticket;
use ipclusterz_runtime::transport::wake::Waker;
use ipclusterz_runtime::wire::Frame;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LINK: LinkId = LinkId(1);
/// Whatever is sent comes in that time, or there is something wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Parcels under way at a time.
const AHEAD: u64 = 2;

/// Sends parcels over a link, and prints how fast that was as JSON.
pub fn run(options: &BulkOptions) -> Result<bool, PeersError> {
    send_all(options).map_err(PeersError::of("the link"))
}

fn send_all(options: &BulkOptions) -> io::Result<bool> {
    let chance = || io::Error::other("the kernel gives no random bytes");
    let payload = if options.plain { Payload::Plain } else { Payload::Sealed };
    let manner = Manner { payload, compress: options.compress };
    let plan = LinkPlan { ticket: Ticket::new().ok_or_else(chance)?, manner, shelf: None };
    let (door, _libzmq) = Door::open("127.0.0.1:0")?;
    let (from, to) = (Driver::start(Arc::new(Waker::new()?))?, Driver::start(Arc::new(Waker::new()?))?);
    door.expect(LINK, plan.clone(), &to);
    from.dial(LINK, plan, door.address);
    let frame = Frame::from(vec![7; options.mebibytes << 20]);
    let (mut sent, mut arrived) = (0, 0);
    let mut began = Instant::now();
    let deadline = began + PATIENCE;
    while arrived < u64::from(options.parcels) {
        for event in from.events().into_iter().chain(to.events()) {
            match event {
                BulkEvent::Up(_) if sent == 0 => began = Instant::now(),
                BulkEvent::Parcel(..) => arrived += 1,
                BulkEvent::Down(_, why) => return Err(io::Error::other(why)),
                BulkEvent::Up(_) => continue,
            }
            while sent < u64::from(options.parcels) && sent < arrived + AHEAD {
                from.send(LINK, sent, frame.clone());
                sent += 1;
            }
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("only {arrived} of {} parcels have come", options.parcels)));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let seconds = began.elapsed().as_secs_f64();
    let bytes = (u64::from(options.parcels) * frame.len() as u64) as f64;
    println!(
        "{}",
        serde_json::json!({"bytes": bytes, "seconds": seconds, "gigabytes_per_second": bytes / seconds / 1e9})
    );
    Ok(true)
}
