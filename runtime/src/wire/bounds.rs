//! What a message may contain, whoever sent it: how long its texts and lists are, and which numbers can be meant.
//!
//! [`codec::decode`](super::codec::decode) applies this, so that nothing else meets a message that is not like this:
//!
//! | what | may be | anything else |
//! |---|---|---|
//! | a name: of a host, a process, an address, an MPI program, a kept request | [`NAME_MAX`] bytes | is refused |
//! | the name of a communicator | 256 KiB: it lists its ranks | is refused |
//! | a reason or a hint, for people | [`REASON_MAX`] bytes | is cut |
//! | the number of a release | [`NAME_MAX`] bytes | is cut |
//! | a stack or another text of many lines | [`TEXT_MAX`] bytes | is cut |
//! | a list | [`LIST_MAX`] entries | is refused |
//! | resources of an engine, or for a task | [`RESOURCES_MAX`], each a name | is refused |
//! | frames that name segments | each once, in order | is refused |
//! | a rank | below the size of its program, which has at most [`LIST_MAX`] | is refused |
//! | a length of time in a `hello` | finite, from 0 on | is refused |
//! | any other length of time, and any point in time | finite, from 0 on, in this century or the next few | is moved there |
//!
//! Names and reasons are one line each, and nothing in them is obeyed by a terminal:
//! [`printable`](ipclusterz_base::words::printable). What is a number for somebody (an id, a count) may be any number: who
//! uses it looks whether there is such a thing.

use super::message::{
    Activity, Ask, Broken, Departure, Found, Hello, Kept, Message, Placement, Rank, Refused, Resources, SegmentNote,
    Status, Terms,
};
use ipclusterz_base::words::{cut, printable, printable_lines};
use std::borrow::Cow;

/// Longest name, bytes. An address contains the path of a socket, or the name of a host.
pub const NAME_MAX: usize = 512;
/// Longest reason, bytes.
pub const REASON_MAX: usize = 4 << 10;
/// Longest text of many lines, bytes.
pub const TEXT_MAX: usize = 64 << 10;
/// Longest list.
pub const LIST_MAX: usize = 1 << 16;
/// Most resources, and most tags, of one engine or task.
pub const RESOURCES_MAX: usize = 256;
/// Longest text that is data of other programs, and longest name of a communicator, which lists its ranks; bytes.
const DATA_MAX: usize = 256 << 10;

/// Seconds since 1970 of the last year that calendars of programs know, 9999.
const LAST_TIME: f64 = 253_402_300_799.0;
/// Longest length of time: a century. It can be added to any clock.
const LONGEST: f64 = 3.2e9;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// A name.
    #[error("{what} of {length} bytes; the limit is {most}")]
    Name {
        /// Whose.
        what: &'static str,
        /// Bytes.
        length: usize,
        /// Bytes that it may have.
        most: usize,
    },
    /// A list.
    #[error("a list of {length} {what}; the limit is {most}")]
    List {
        /// Of what.
        what: &'static str,
        /// Entries.
        length: usize,
        /// Entries that it may have.
        most: usize,
    },
    /// A name that is looked up, and not only read.
    #[error("{0} whose name has letters that cannot be printed")]
    Letters(&'static str),
    /// Notes of segments.
    #[error("frames that name segments are to be listed once each, in order")]
    Segments,
    /// A rank.
    #[error("rank {rank} of {size}: ranks count from 0, and a program has at most {LIST_MAX}")]
    Rank {
        /// Its number.
        rank: u32,
        /// Of how many.
        size: u32,
    },
    /// A length of time.
    #[error("{what} is {value}: a number of seconds, from 0 on, is needed")]
    Seconds {
        /// Which.
        what: &'static str,
        /// As text: it may be no number at all.
        value: String,
    },
}

type Bounded = Result<(), OutOfBounds>;

/// Brings a message within bounds, or says what is wrong with it.
pub fn apply(message: &mut Message) -> Bounded {
    match message {
        Message::Hello(hello) => in_hello(hello)?,
        Message::Welcome(welcome) => {
            name("a token", &mut welcome.token)?;
            length_of_time(&mut welcome.grace);
            list("engines", &welcome.engines)?;
            for info in &mut welcome.engines {
                names(&mut info.uuid, &mut info.host, &mut info.address)?;
            }
            if let Some(session) = &mut welcome.session {
                names(&mut session.name, &mut session.id, session.taken_from.get_or_insert_default())?;
                session.taken_from.take_if(|who| who.is_empty());
            }
        }
        Message::Refused(refused) | Message::Crowded(refused) => self::refused(refused),
        Message::Attach(attach) => name("a token", &mut attach.token)?,
        Message::Request(request) => {
            match &mut request.placement {
                Placement::Engines(engines) => list("engines", engines)?,
                Placement::Balanced { engines, .. } => engines.as_ref().map_or(Ok(()), |ids| list("engines", ids))?,
            }
            segments(&request.segments)?;
            request.timeout.iter_mut().for_each(length_of_time);
            request.keep.as_mut().map_or(Ok(()), |keep| name("a name", keep))?;
            request.name.iter_mut().for_each(word);
            request.terms.as_mut().map_or(Ok(()), |terms| in_terms(terms))?;
            let about = request.about.as_ref().map_or(0, |about| about.len());
            if about > TEXT_MAX {
                return Err(OutOfBounds::Name { what: "what is said of a request", length: about, most: TEXT_MAX });
            }
        }
        Message::Task(task) => {
            segments(&task.segments)?;
            if let Some(group) = &mut task.group {
                list("ranks", &group.ranks)?;
                group.timeout.iter_mut().for_each(length_of_time);
            }
        }
        Message::Result(result) => {
            point_in_time(&mut result.started);
            point_in_time(&mut result.completed);
            segments(&result.segments)?;
            if let Some(standing) = &mut result.standing {
                communicator(&mut standing.comm)?;
                standing.departure.iter_mut().for_each(in_departure);
            }
        }
        Message::Reply(reply) => {
            point_in_time(&mut reply.started);
            point_in_time(&mut reply.completed);
            segments(&reply.segments)?;
            reply.outcome.why_mut().into_iter().for_each(reason);
        }
        Message::ForgetFunctions(forget) => list("functions", &forget.functions)?,
        Message::Abort(abort) => {
            abort.requests.as_ref().map_or(Ok(()), |ids| list("requests", ids))?;
            abort.engines.as_ref().map_or(Ok(()), |ids| list("engines", ids))?;
            abort.session.as_mut().map_or(Ok(()), |session| name("a session", session))?;
        }
        Message::Query(query) => in_query(&mut query.ask)?,
        Message::Found(found) => in_found(found)?,
        Message::Kept(kept) => in_kept(kept)?,
        Message::Interrupt(targets) | Message::Shutdown(targets) => {
            targets.engines.as_ref().map_or(Ok(()), |ids| list("engines", ids))?;
        }
        Message::Retire(retire) => list("engines", &retire.engines)?,
        Message::Recall(recall) => {
            list("tasks", &recall.tasks)?;
            list("tasks", &recall.interrupt)?;
            list("tasks", &recall.kill)?;
        }
        Message::Recalled(recalled) => {
            list("tasks", &recalled.returned)?;
            list("tasks", &recalled.kept)?;
        }
        Message::Goodbye(goodbye) => reason(&mut goodbye.reason),
        Message::Usage(usage) => [&mut usage.cpu_seconds, &mut usage.cpus].into_iter().for_each(length_of_time),
        Message::EngineJoined(info) => names(&mut info.uuid, &mut info.host, &mut info.address)?,
        Message::EngineLeft(left) => reason(&mut left.reason),
        Message::EngineEnded(ended) => {
            name("a uuid", &mut ended.uuid)?;
            ended.how.iter_mut().for_each(reason);
        }
        Message::EnginesExpected(expected) => {
            reason(&mut expected.why);
            let offers = expected.offers.as_deref().unwrap_or_default();
            list("offers", offers)?;
            offers.iter().try_for_each(in_resources)?;
        }
        Message::Left(left) => in_departure(&mut left.departure),
        Message::Settled(settled) => settled.broken.as_mut().map_or(Ok(()), in_broken)?,
        Message::StatusReply(status) => in_status(status)?,
        Message::EpochOver(over) => reason(&mut over.reason),
        Message::Inspect(inspect) => {
            list("engines", &inspect.engines)?;
            inspect.broken.as_mut().map_or(Ok(()), in_broken)?;
        }
        Message::Inspected(inspected) => inspected.activity.iter_mut().for_each(in_activity),
        Message::Attached(_)
        | Message::NeedFunction(_)
        | Message::Function(_)
        | Message::Output(_)
        | Message::OutputTaken(_)
        | Message::RequestOutput(_)
        | Message::Started(_)
        | Message::Fulfilled(_)
        | Message::Ack(_)
        | Message::Received(_)
        | Message::StatusRequest(_)
        | Message::EngineAway(_) => {}
    }
    Ok(())
}

fn in_query(ask: &mut Ask) -> Bounded {
    match ask {
        Ask::Sessions => Ok(()),
        Ask::Tasks(filter) | Ask::Purge(filter) => {
            filter.session.as_mut().map_or(Ok(()), |session| name("a session", session))?;
            filter.requests.as_ref().map_or(Ok(()), |requests| list("requests", requests))?;
            list("states", &filter.states)?;
            filter.name.as_mut().map_or(Ok(()), |text| name("a name", text))
        }
        Ask::Submissions { session } => name("a session", session),
        Ask::Results { session, requests } | Ask::Explain { session, requests, .. } => {
            name("a session", session)?;
            list("requests", requests)
        }
        Ask::Events(ask) => {
            length_of_time(&mut ask.wait);
            ask.since.iter_mut().for_each(point_in_time);
            Ok(())
        }
    }
}

/// Brings the terms of a request within bounds, or says what is wrong with them.
pub fn in_terms(terms: &mut Terms) -> Bounded {
    let times = [&mut terms.timeout, &mut terms.time_limit, &mut terms.retry_delay];
    times.into_iter().flatten().for_each(length_of_time);
    for dependency in terms.dependencies() {
        list("tasks", &dependency.on)?;
        let length = dependency.on.iter().map(|parent| parent.count as usize).fold(0, usize::saturating_add);
        if length > LIST_MAX {
            return Err(OutOfBounds::List { what: "tasks", length, most: LIST_MAX });
        }
        for parent in &mut dependency.on {
            parent.task.session.as_mut().map_or(Ok(()), |session| name("a session", session))?;
        }
    }
    in_resources(&terms.needs)
}

fn in_resources(resources: &Resources) -> Bounded {
    let Resources { amounts, tags } = resources;
    let (length, most) = (amounts.len().max(tags.len()), RESOURCES_MAX);
    if length > most {
        return Err(OutOfBounds::List { what: "resources", length, most });
    }
    amounts.keys().chain(tags).try_for_each(|text| {
        let plain = matches!(printable(text), Cow::Borrowed(_));
        if plain { name("a resource", &mut text.clone()) } else { Err(OutOfBounds::Letters("a resource")) }
    })
}

fn in_found(found: &mut Found) -> Bounded {
    found.error.iter_mut().for_each(reason);
    for session in &mut found.sessions {
        names(&mut session.name, &mut session.id, &mut session.host)?;
    }
    for task in &mut found.tasks {
        names(&mut task.session, &mut task.id, &mut task.state)?;
        word(&mut task.name);
        task.why.iter_mut().chain(&mut task.waits).for_each(reason);
        [&mut task.submitted, &mut task.started, &mut task.completed].into_iter().for_each(point_in_time);
    }
    for request in &mut found.requests {
        word(&mut request.name);
        point_in_time(&mut request.submitted);
    }
    Ok(())
}

fn in_kept(kept: &mut Kept) -> Bounded {
    kept.reply.outcome.why_mut().into_iter().for_each(reason);
    point_in_time(&mut kept.reply.started);
    point_in_time(&mut kept.reply.completed);
    segments(&kept.reply.segments)?;
    kept.dropped.iter_mut().for_each(reason);
    kept.engine_uuid.as_mut().map_or(Ok(()), |uuid| name("a uuid", uuid))
}

fn in_hello(hello: &mut Hello) -> Bounded {
    names(&mut hello.uuid, &mut hello.host, &mut hello.address)?;
    hello.release.iter_mut().chain(&mut hello.group).chain(&mut hello.user).for_each(word);
    in_resources(&hello.offers)?;
    hello.ends_in.as_mut().map_or(Ok(()), |seconds| seconds_in("ends_in", seconds))?;
    seconds_in("drain_before", &mut hello.drain_before)?;
    seconds_in("lease", &mut hello.lease)?;
    hello.session.as_mut().map_or(Ok(()), |session| name("a session", session))?;
    hello.resume.as_mut().map_or(Ok(()), |resume| name("a token", &mut resume.token))?;
    match hello.world.as_deref_mut() {
        Some(Rank { world, rank, size, .. }) => {
            name("an MPI program's name", world)?;
            let possible = *rank < *size && usize::try_from(*size).is_ok_and(|size| size <= LIST_MAX);
            if possible { Ok(()) } else { Err(OutOfBounds::Rank { rank: *rank, size: *size }) }
        }
        None => Ok(()),
    }
}

fn in_status(status: &mut Status) -> Bounded {
    name("a cluster's name", &mut status.cluster)?;
    list("engines", &status.engines)?;
    list("losses", &status.losses)?;
    for engine in &mut status.engines {
        names(&mut engine.uuid, &mut engine.host, &mut engine.address)?;
        name("a state", &mut engine.state)?;
        if let Some(world) = &mut engine.world {
            name("an MPI program's name", &mut world.name)?;
            world.reason.iter_mut().for_each(reason);
            world.hook_error.iter_mut().for_each(lines);
            world.held_up.iter_mut().for_each(length_of_time);
        }
    }
    for loss in &mut status.losses {
        name("a uuid", &mut loss.uuid)?;
        name("a host's name", &mut loss.host)?;
        reason(&mut loss.how);
    }
    status.expected.iter_mut().for_each(|expected| reason(&mut expected.why));
    Ok(())
}

fn in_broken(broken: &mut Broken) -> Bounded {
    reason(&mut broken.reason);
    communicator(&mut broken.comm)
}

/// What it says of communicators is read by the MPI extension module alone; a part of it means nothing.
fn in_departure(departure: &mut Departure) {
    reason(&mut departure.why);
    if departure.entered.len() > DATA_MAX {
        departure.entered.clear();
    }
}

fn in_activity(activity: &mut Activity) {
    length_of_time(&mut activity.seconds);
    lines(&mut activity.stack);
    // A part of it means nothing.
    if activity.calls.len() > DATA_MAX {
        activity.calls.clear();
    }
}

fn names(uuid: &mut String, host: &mut String, address: &mut String) -> Bounded {
    name("a uuid", uuid)?;
    name("a host's name", host)?;
    name("an address", address)
}

fn name(what: &'static str, text: &mut String) -> Bounded {
    named(what, text, NAME_MAX)
}

fn communicator(text: &mut String) -> Bounded {
    named("a communicator's name", text, DATA_MAX)
}

fn named(what: &'static str, text: &mut String, most: usize) -> Bounded {
    replace(text, printable);
    if text.len() > most { Err(OutOfBounds::Name { what, length: text.len(), most }) } else { Ok(()) }
}

/// A refusal, of whatever version of the protocol.
pub(super) fn refused(refused: &mut Refused) {
    reason(&mut refused.reason);
    refused.hint.iter_mut().for_each(reason);
}

/// A short text that only people read: one line, cut.
pub(super) fn word(text: &mut String) {
    replace(text, printable);
    replace(text, |text| cut(text, NAME_MAX));
}

/// A reason as it may be passed on: one line, cut.
pub fn reason(text: &mut String) {
    replace(text, printable);
    replace(text, |text| cut(text, REASON_MAX));
}

/// A text of many lines as it may be passed on.
pub fn lines(text: &mut String) {
    replace(text, printable_lines);
    replace(text, |text| cut(text, TEXT_MAX));
}

fn replace(text: &mut String, with: impl Fn(&str) -> Cow<'_, str>) {
    if let Cow::Owned(changed) = with(text) {
        *text = changed;
    }
}

fn list<T>(what: &'static str, entries: &[T]) -> Bounded {
    let (length, most) = (entries.len(), LIST_MAX);
    if length > most { Err(OutOfBounds::List { what, length, most }) } else { Ok(()) }
}

fn segments(notes: &[SegmentNote]) -> Bounded {
    let ascend = notes.is_sorted_by(|one, next| one.frame < next.frame);
    if ascend { list("segments", notes) } else { Err(OutOfBounds::Segments) }
}

fn seconds_in(what: &'static str, seconds: &mut f64) -> Bounded {
    if !seconds.is_finite() || *seconds < 0.0 {
        return Err(OutOfBounds::Seconds { what, value: seconds.to_string() });
    }
    length_of_time(seconds);
    Ok(())
}

fn length_of_time(seconds: &mut f64) {
    *seconds = between(*seconds, LONGEST);
}

fn point_in_time(seconds: &mut f64) {
    *seconds = between(*seconds, LAST_TIME);
}

/// From 0 on, also what is no number.
fn between(seconds: f64, last: f64) -> f64 {
    if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, last) }
}
