//! The engine's state machine: tasks in order of arrival, functions by hash, what is running.
//!
//! Knows neither sockets nor Python. The I/O thread feeds it messages; the thread that runs user code takes tasks
//! from it and gives results back.

use crate::wire::Frame;
use crate::wire::message::{
    Broken, EpochOver, FunctionName, Group, Inspect, Left, Message, NeedFunction, Op, Output, Recalled, Resources,
    Settled, Standing, Stream, Task, TaskOutcome, TaskResult,
};
use crate::wire::part::{Packed, Part};
use ipclusterz_base::ids::{PeerId, TaskId};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::Saturating;

/// Code of functions that is kept, bytes.
const FUNCTION_BYTES_MAX: usize = 64 << 20;

/// A task as it waits and runs.
#[derive(Debug)]
pub struct Job {
    /// The controller's number.
    pub id: TaskId,
    /// What to do.
    pub op: Op,
    /// The function to call, and its code when the task is handed out.
    pub function: Option<(FunctionName, Option<Frame>)>,
    /// The payload, or why it could not be read.
    pub payload: Result<Vec<Part>, String>,
    /// Who does it together, when it is collective.
    pub group: Option<Group>,
    /// Who asked for it.
    pub client: PeerId,
    /// Members of the group that have left it.
    pub left: Vec<Left>,
    /// Which message on `data` has brought it.
    pub number: u64,
    /// What it has of what this engine offers.
    pub needs: Resources,
}

/// What the I/O thread is to do.
#[derive(Debug)]
pub enum Action {
    /// Send on `data`.
    SendData(Message, Vec<Frame>),
    /// Raise KeyboardInterrupt in the running code.
    Interrupt,
    /// Tell MPI that nobody is to wait for a rank of this epoch any longer.
    EndEpoch(EpochOver),
    /// Tell MPI that nobody is to wait for a member that has left what runs.
    Left(Left),
    /// Tell MPI that a communicator is not to be used any more.
    BreakOff(Broken),
    /// Send on `control`.
    SendControl(Message),
    /// Answer what the engine is doing.
    Inspect(Inspect),
    /// End the process.
    Stop,
    /// End the process at once: what runs does not end otherwise.
    Kill,
}

#[derive(Debug, Default)]
struct Functions {
    code: HashMap<FunctionName, Frame>,
    order: VecDeque<FunctionName>,
    bytes: Saturating<usize>,
}

impl Functions {
    fn insert(&mut self, name: FunctionName, code: Frame) {
        self.bytes += code.len();
        match self.code.insert(name, code) {
            Some(old) => self.bytes -= old.len(),
            None => self.order.push_back(name),
        }
        // The newest stays, however large it is.
        while self.bytes.0 > FUNCTION_BYTES_MAX && self.code.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(code) = self.code.remove(&oldest) {
                self.bytes -= code.len();
            }
        }
    }
}

/// The state of an engine.
#[derive(Debug, Default)]
pub struct Core {
    /// How many messages came on `data`, with the one that is handled.
    pub arrived: u64,
    inbox: VecDeque<Job>,
    /// The task whose code runs, and whether it is of this session.
    running: Option<(TaskId, bool)>,
    /// Who asked for it.
    client: Option<PeerId>,
    functions: Functions,
    asked: Option<TaskId>,
    /// The last epoch that is over.
    over: u64,
}

impl Core {
    /// A message of the controller; `unpack` maps a task's segments.
    pub fn message(
        &mut self,
        message: Message,
        payload: Vec<Frame>,
        unpack: impl FnOnce(Vec<Frame>, &Task) -> Result<Vec<Part>, String>,
    ) -> Vec<Action> {
        match message {
            Message::Task(task) => {
                let payload = unpack(payload, &task);
                let function = task.function.map(|name| (name, None));
                let Task { id, op, group, client, needs, .. } = task;
                self.inbox.push_back(Job {
                    id,
                    op,
                    function,
                    payload,
                    group,
                    client,
                    left: vec![],
                    number: self.arrived,
                    needs,
                });
                self.ask().into_iter().collect()
            }
            Message::Function(function) => {
                if let Some(code) = payload.into_iter().next() {
                    self.functions.insert(function.function, code);
                    self.asked = None;
                }
                self.ask().into_iter().collect()
            }
            Message::Recall(recall) => {
                let runs = |tasks: &[TaskId]| self.running.is_some_and(|(task, _)| tasks.contains(&task));
                let interrupt = runs(&recall.interrupt).then_some(Action::Interrupt);
                let kill = runs(&recall.kill).then_some(Action::Kill);
                let mut asked: BTreeSet<TaskId> = recall.tasks.into_iter().collect();
                let mut returned = Vec::new();
                self.inbox.retain(|job| {
                    let recalled = asked.remove(&job.id);
                    returned.extend(recalled.then_some(job.id));
                    !recalled
                });
                let recalled = Recalled { returned, kept: asked.into_iter().collect() };
                let answer = Action::SendData(Message::Recalled(recalled), vec![]);
                [Some(answer), interrupt, kill, self.ask()].into_iter().flatten().collect()
            }
            Message::Interrupt(_) if self.running.is_some() => vec![Action::Interrupt],
            Message::Shutdown(_) => vec![Action::Stop],
            Message::EpochOver(over) => {
                self.over = self.over.max(over.epoch);
                vec![Action::EndEpoch(over)]
            }
            Message::Left(left) => self.left(left).into_iter().collect(),
            Message::Settled(settled) => self.settled(settled).into_iter().collect(),
            Message::Inspect(inspect) => vec![Action::Inspect(inspect)],
            _ => vec![],
        }
    }

    /// A member has left: that matters to what runs, or will.
    fn left(&mut self, left: Left) -> Option<Action> {
        if self.runs(left.task) {
            return Some(Action::Left(left));
        }
        let job = self.inbox.iter_mut().find(|job| job.id == left.task)?;
        job.left.push(left);
        None
    }

    /// All members have ended that: what the group does next may begin.
    fn settled(&mut self, settled: Settled) -> Option<Action> {
        let groups = self.inbox.iter_mut().filter_map(|job| job.group.as_mut());
        for group in groups.filter(|group| group.behind == Some(settled.task)) {
            (group.behind, group.renewal) = (None, settled.renewal);
        }
        settled.broken.map(Action::BreakOff)
    }

    /// Other members may still be in what its group does before it. In an epoch that is over nobody is told more.
    fn is_held(&self, job: &Job) -> bool {
        job.group.as_ref().is_some_and(|group| group.behind.is_some() && group.epoch > self.over)
    }

    /// The next task, if it can be started.
    pub fn start_next(&mut self) -> Option<Job> {
        let job = self.inbox.front().filter(|job| !self.is_held(job))?;
        let code = match job.function {
            // It asks itself.
            Some((name, _)) if job.op == Op::Upload => Some((name, None)),
            Some((name, _)) => Some((name, Some(self.functions.code.get(&name)?.clone()))),
            None => None,
        };
        let mut job = self.inbox.pop_front()?;
        job.function = code;
        (self.running, self.client) = (Some((job.id, true)), Some(job.client));
        Some(job)
    }

    /// Asks for the function of the task that is next, once.
    pub fn ask(&mut self) -> Option<Action> {
        let job = self.inbox.front()?;
        let (name, _) = job.function.as_ref().filter(|_| job.op != Op::Upload)?;
        if self.functions.code.contains_key(name) || self.asked == Some(job.id) {
            return None;
        }
        self.asked = Some(job.id);
        Some(Action::SendData(Message::NeedFunction(NeedFunction { task: job.id }), vec![]))
    }

    /// The running task asks for the code of its function.
    pub fn need(&self) -> Option<Action> {
        let (task, true) = self.running? else { return None };
        Some(Action::SendData(Message::NeedFunction(NeedFunction { task }), vec![]))
    }

    /// Hands over the code that `need` asked for, if it is there. It is not kept: hardly anybody needs it twice.
    pub fn take_code(&mut self, name: FunctionName) -> Option<Frame> {
        let code = self.functions.code.remove(&name)?;
        self.functions.bytes -= code.len();
        self.functions.order.retain(|other| *other != name);
        Some(code)
    }

    /// Text that the running task wrote; none when nobody waits for it.
    pub fn output(&mut self, stream: Stream, text: String) -> Option<Action> {
        let (task, true) = self.running? else { return None };
        let output = Output { task, client: self.client?, stream };
        Some(Action::SendData(Message::Output(output), vec![Frame::from(text.into_bytes())]))
    }

    /// Who gets what the running task writes; none when nobody does.
    pub fn reader(&self) -> Option<PeerId> {
        self.running.filter(|(_, current)| *current).and(self.client)
    }

    /// The running task ended. None: it is not that one, for the session it came from is over.
    pub fn finish(&mut self, task: TaskId, outcome: TaskOutcome, times: (f64, f64), packed: Packed) -> Option<Action> {
        let (id, true) = self.running.take_if(|(running, _)| *running == task)? else { return None };
        let (started, completed) = times;
        let (segments, standing, again) = (packed.segments, None, false);
        let result = TaskResult { id, outcome, started, completed, segments, standing, again };
        Some(Action::SendData(Message::Result(result), packed.frames))
    }

    /// The same of an error after which the task may be started again.
    pub fn finish_again(result: Action) -> Action {
        let Action::SendData(Message::Result(result), frames) = result else { return result };
        Action::SendData(Message::Result(TaskResult { again: true, ..result }), frames)
    }

    /// The same of what a group does together.
    pub fn finish_part(standing: Standing, result: Action) -> Action {
        let Action::SendData(Message::Result(result), frames) = result else { return result };
        Action::SendData(Message::Result(TaskResult { standing: Some(standing), ..result }), frames)
    }

    /// Something runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// This task runs.
    pub fn runs(&self, task: TaskId) -> bool {
        self.running.is_some_and(|(running, _)| running == task)
    }

    /// What the messages behind this number have brought, and what has not begun, is nobody's any more.
    pub fn forget_behind(&mut self, number: u64) {
        self.inbox.retain(|job| job.number <= number);
        // Nobody may have heard it, and the same task may come once more.
        self.asked = None;
    }

    /// The session is over: the controller has answered for everything that was here. What runs goes on, for nobody.
    pub fn session_lost(&mut self) {
        self.inbox.clear();
        self.asked = None;
        if let Some((_, current)) = &mut self.running {
            *current = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Departure, FunctionCode, Recall, Targets};
    use ipclusterz_base::ids::EngineId;

    fn task(id: u64, function: Option<u8>) -> Message {
        let function = function.map(|byte| FunctionName([byte; 16]));
        let (segments, group, client, needs) = (vec![], None, PeerId(0), Resources::default());
        Message::Task(Task { id: TaskId(id), op: Op::Apply, function, segments, group, client, needs })
    }

    fn feed(core: &mut Core, message: Message, payload: Vec<Frame>) -> Vec<Action> {
        core.message(message, payload, |frames, _| Ok(frames.into_iter().map(Part::Frame).collect()))
    }

    #[test]
    fn a_task_waits_for_its_function_which_is_asked_for_once() {
        let mut core = Core::default();
        let asked = feed(&mut core, task(1, Some(7)), vec![]);
        assert!(matches!(asked[..], [Action::SendData(Message::NeedFunction(_), _)]));
        assert!(feed(&mut core, task(2, Some(7)), vec![]).is_empty());
        assert!(core.start_next().is_none());
        let code = Message::Function(FunctionCode { function: FunctionName([7; 16]) });
        assert!(feed(&mut core, code, vec![Frame::from(&b"code"[..])]).is_empty());
        assert_eq!(core.start_next().map(|job| job.id), Some(TaskId(1)));
        assert!(core.finish(TaskId(1), TaskOutcome::Ok, (0.0, 0.0), Packed::default()).is_some());
        assert_eq!(core.start_next().map(|job| job.id), Some(TaskId(2)));
    }

    #[test]
    fn only_what_was_not_started_is_given_back() {
        let mut core = Core::default();
        for id in 1..=3 {
            feed(&mut core, task(id, None), vec![]);
        }
        assert_eq!(core.start_next().map(|job| job.id), Some(TaskId(1)));
        let tasks = [1, 2, 3, 4].map(TaskId).to_vec();
        let actions = feed(&mut core, Message::Recall(Recall { tasks, ..Recall::default() }), vec![]);
        let [Action::SendData(Message::Recalled(answer), _)] = &actions[..] else { panic!("{actions:?}") };
        let (returned, kept) = ([2, 3].map(TaskId).to_vec(), [1, 4].map(TaskId).to_vec());
        assert_eq!(*answer, Recalled { returned, kept });
        assert!(core.start_next().is_none());
    }

    #[test]
    fn a_recall_interrupts_the_task_that_it_names_and_no_other() {
        let mut core = Core::default();
        (1..=2).for_each(|id| drop(feed(&mut core, task(id, None), vec![])));
        assert_eq!(core.start_next().map(|job| job.id), Some(TaskId(1)));
        for (interrupt, interrupted) in [(vec![TaskId(2), TaskId(7)], false), (vec![TaskId(1)], true)] {
            let actions = feed(&mut core, Message::Recall(Recall { interrupt, ..Recall::default() }), vec![]);
            assert_eq!(actions.iter().any(|action| matches!(action, Action::Interrupt)), interrupted, "{actions:?}");
        }
        assert!(core.is_running());
    }

    #[test]
    fn what_runs_when_the_session_breaks_can_be_interrupted_and_answers_nobody() {
        let mut core = Core::default();
        feed(&mut core, task(1, None), vec![]);
        feed(&mut core, task(2, None), vec![]);
        assert!(core.start_next().is_some());
        core.session_lost();
        assert!(core.output(Stream::Stdout, "late".to_owned()).is_none());
        let interrupt = Message::Interrupt(Targets { engines: None });
        assert!(matches!(feed(&mut core, interrupt, vec![])[..], [Action::Interrupt]));
        assert!(core.finish(TaskId(1), TaskOutcome::Ok, (0.0, 0.0), Packed::default()).is_none());
        assert!(!core.is_running());
        assert!(core.start_next().is_none());
    }

    #[test]
    fn what_a_group_does_next_begins_when_all_have_ended_what_it_did_before() {
        let mut core = Core::default();
        let part = |id, ranks: [u32; 2], behind: Option<u64>| {
            let behind = behind.map(TaskId);
            let group = Some(Group { epoch: 1, ranks: ranks.to_vec(), timeout: None, renewal: 0, behind });
            let (id, function, segments, client) = (TaskId(id), None, vec![], PeerId(1));
            let needs = Resources::default();
            Message::Task(Task { id, op: Op::Execute, function, segments, group, client, needs })
        };
        for (id, ranks, behind) in [(1, [0, 1], None), (2, [1, 0], None), (3, [0, 1], Some(1))] {
            feed(&mut core, part(id, ranks, behind), vec![]);
        }
        let departure = Departure { why: "ValueError".to_owned(), entered: String::new() };
        let left = Left { task: TaskId(2), engine: EngineId(1), rank: 1, departure: departure.clone() };
        assert!(feed(&mut core, Message::Left(left.clone()), vec![]).is_empty(), "it does not run yet");
        assert_eq!(core.start_next().map(|job| job.left.len()), Some(0));
        let result = core.finish(TaskId(1), TaskOutcome::Error, (0.0, 0.0), Packed::default()).expect("it runs");
        let standing = Standing { comm: "world".to_owned(), entered: Some(3), departure: Some(departure) };
        let result = Core::finish_part(standing, result);
        assert!(matches!(&result, Action::SendData(Message::Result(result), _) if result.standing.is_some()));
        // Another group's.
        assert_eq!(core.start_next().map(|job| (job.id, job.left.len())), Some((TaskId(2), 1)));
        assert!(matches!(feed(&mut core, Message::Left(left), vec![])[..], [Action::Left(_)]));
        assert!(core.finish(TaskId(2), TaskOutcome::Ok, (0.0, 0.0), Packed::default()).is_some());
        assert!(core.start_next().is_none());
        let broken = Broken { comm: "world".to_owned(), epoch: 1, reason: String::new(), at_once: true };
        let settled = Message::Settled(Settled { task: TaskId(1), broken: Some(broken), renewal: 4 });
        assert!(matches!(feed(&mut core, settled, vec![])[..], [Action::BreakOff(_)]));
        let next = core.start_next().expect("it may begin");
        assert_eq!((next.id, next.group.map(|group| group.renewal)), (TaskId(3), Some(4)));
    }

    #[test]
    fn interrupts_reach_running_code_alone() {
        let mut core = Core::default();
        let interrupt = || Message::Interrupt(Targets { engines: None });
        assert!(feed(&mut core, interrupt(), vec![]).is_empty());
        feed(&mut core, task(1, None), vec![]);
        assert!(core.start_next().is_some());
        assert!(matches!(feed(&mut core, interrupt(), vec![])[..], [Action::Interrupt]));
    }
}
