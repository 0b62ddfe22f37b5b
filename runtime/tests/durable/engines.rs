//! What engines do and hear, as their I/O threads and the threads with user code do it.

use crate::peers::Part as Role;
use crate::truth::{key_in, value_of};
use crate::world::World;
use ipclusterz_base::ids::TaskId;
use ipclusterz_runtime::engine::core::Action;
use ipclusterz_runtime::wire::message::{Message, Stream, Task, TaskOutcome};
use ipclusterz_runtime::wire::part::{Packed, Part};
use ipclusterz_runtime::wire::resend::is_counted;
use ipclusterz_runtime::wire::{Channel, Frame};

impl World {
    pub fn engine_hears(&mut self, at: usize, channel: Channel, message: Message, payload: Vec<Frame>) {
        let engine = self.peers[at].engine();
        let ack = engine.keeping.heard(channel, &message, &payload);
        engine.core.arrived = engine.keeping.arrived();
        let plain = |frames: Vec<Frame>, _: &Task| Ok(frames.into_iter().map(Part::Frame).collect());
        let actions = engine.core.message(message, payload, plain);
        if let Some(ack) = ack {
            self.put(at, vec![(Channel::Control, ack, vec![])]);
        }
        self.act(at, actions);
    }

    fn act(&mut self, at: usize, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            match action {
                Action::SendData(message, payload) => self.say(at, Channel::Data, message, payload),
                Action::SendControl(message) => self.say(at, Channel::Control, message, vec![]),
                other => panic!("nobody has asked for {other:?}"),
            }
        }
    }

    fn say(&mut self, at: usize, channel: Channel, message: Message, payload: Vec<Frame>) {
        let engine = self.peers[at].engine();
        engine.session.1 += u64::from(channel == Channel::Data && is_counted(&message));
        if engine.keeping.say(channel, &message, &payload) {
            self.put(at, vec![(channel, message, payload)]);
        }
    }

    /// Begins the next task, if none runs.
    pub fn begin(&mut self, at: usize) {
        let engine = self.peers[at].engine();
        if engine.running.is_some() {
            return;
        }
        let Some(job) = engine.core.start_next() else { return };
        let key = key_in(&job.payload.expect("frames")[0]);
        engine.running = Some(job.id);
        let target = self.truth.target(key, engine.id.expect("it is registered"));
        engine.target = Some(target);
        self.truth.begins(target, job.id, at);
        self.moved = true;
    }

    /// The running task writes a piece of text.
    pub fn write_text(&mut self, at: usize) {
        let engine = self.peers[at].engine();
        let Some((_, target)) = engine.running.zip(engine.target) else { return };
        let text = format!("{at}:{},", self.truth.texts.get(&target).map_or(0, String::len));
        if let Some(action) = engine.core.output(Stream::Stdout, text.clone()) {
            self.truth.texts.entry(target).or_default().push_str(&text);
            self.act(at, [action]);
        }
    }

    /// The running task ends.
    pub fn finish(&mut self, at: usize) {
        let engine = self.peers[at].engine();
        let Some((task, target)) = engine.running.take().zip(engine.target) else { return };
        let mut packed = Packed::default();
        packed.push(&value_of(target), None).expect("memory");
        let result = engine.core.finish(task, TaskOutcome::Ok, (0.0, 0.1), packed);
        let kept = result.is_some();
        self.act(at, result);
        let engine = self.peers[at].engine();
        let number = engine.session;
        let ask = engine.core.ask();
        if kept {
            self.truth.ends(target, task, at, number);
        }
        self.act(at, ask);
        self.moved = true;
    }

    /// What an engine runs.
    pub fn runs(&self, at: usize) -> Option<TaskId> {
        match &self.peers[at].part {
            Role::Engine(engine) => engine.running,
            Role::Client(_) => None,
        }
    }
}
