//! How one host gets the environment of its engines: a step at a time, so that its thread goes on to hear of other things.

use super::script::{Answer, HostPlan};
use super::staging_script as script;
use crate::stage::board::{Board, Task};
use crate::stage::order::{Order, Origin, Said, Secret, Staged};
use ipclusterz_base::words::printable;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_profile::tables::stage::Stage;
use ipclusterz_ssh::SshError;
use std::sync::{Arc, Mutex, PoisonError};

const HINT: &str =
    "see engines.stage in docs/how-to/stage.md; `stage = false` runs engines from where Python is installed";

/// What the hosts of one start have in common.
#[derive(Debug)]
pub struct Shared {
    board: Mutex<Board>,
    secret: Secret,
    archive: Option<String>,
}

impl Shared {
    /// None where engines run from where Python is installed.
    pub fn new(stage: &Stage) -> Result<Option<Arc<Self>>, Failure> {
        if *stage == Stage::Off {
            return Ok(None);
        }
        let no_key = || Failure::new(Exit::Failure, "the kernel gives no random bytes for a key");
        let secret = Secret::new().ok_or_else(no_key)?;
        Ok(Some(Arc::new(Self { board: Mutex::default(), secret, archive: stage.archive().map(str::to_owned) })))
    }
}

/// What one host has to do.
enum Stand {
    /// Its own folder has not been looked at.
    New,
    /// It can be told what to do, with this program; it has these environments.
    Prepared(String, Vec<String>),
    /// It does it.
    Working(String, ProcessIdentity),
    /// It has the environment.
    Here(String, Staged),
}

/// The staging of one host.
pub struct HostStaging {
    shared: Arc<Shared>,
    index: usize,
    name: String,
    stand: Stand,
    /// What was started there last.
    process: Option<ProcessIdentity>,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// For a person: what it waits for.
    Waits(String),
    /// Engines can be started. For a person: what there is to say about it.
    Ready(Option<String>),
}

impl HostStaging {
    /// The staging of the host with this number and name.
    pub fn new(shared: Arc<Shared>, index: usize, name: &str) -> Self {
        Self { shared, index, name: name.to_owned(), stand: Stand::New, process: None }
    }

    /// Engines are to be started when there are none: what was there may have been removed since.
    pub fn begin_anew(&mut self) {
        self.stand = Stand::New;
    }

    /// Takes the next step. `run` runs a script there; `watched` is the path there of the file that stands for the engines.
    pub fn step(
        &mut self,
        plan: &HostPlan,
        watched: &str,
        run: &mut dyn FnMut(&str) -> Result<Answer, SshError>,
    ) -> Result<Progress, Failure> {
        let result = self.take_step(plan, watched, run);
        if result.is_err() {
            self.stand = Stand::New;
            self.board().gone(self.which(plan), self.index);
        }
        result
    }

    fn take_step(
        &mut self,
        plan: &HostPlan,
        watched: &str,
        run: &mut dyn FnMut(&str) -> Result<Answer, SshError>,
    ) -> Result<Progress, Failure> {
        let waits = |what: &str| Ok(Progress::Waits(what.to_owned()));
        match &self.stand {
            Stand::New => {
                let answer = run(&script::prepare(plan))?;
                let (Some(program), Some(kept)) = (answer.program, answer.kept) else {
                    return Err(self.failure(answer.unstaged.as_deref().unwrap_or("its shell does not say why"), None));
                };
                self.stand = Stand::Prepared(program, kept);
                waits("preparing to copy its environment")
            }
            Stand::Prepared(program, kept) => {
                let task = self.board().ask(self.which(plan), self.index, &self.name, kept);
                let (content, sources) = match task {
                    Task::Wait(why) => return Ok(Progress::Waits(why)),
                    Task::Read => (None, Vec::new()),
                    Task::Take { content, sources } => (Some(content), sources),
                };
                let order = Order {
                    python: plan.python.clone(),
                    archive: self.shared.archive.clone(),
                    content,
                    sources,
                    secret: self.shared.secret.clone(),
                    watched: watched.to_owned(),
                };
                let order = serde_json::to_string(&order).unwrap_or_default();
                let answer = run(&script::begin(plan, program, &order, self.process))?;
                let Some(Some(process)) = answer.stager else {
                    return Err(match answer.stage_said {
                        Some(Said::Failed { message, hint }) => self.failure(&message, hint),
                        _ => self.failure(&format!("{program} has ended at once\n{}", answer.stage_log), None),
                    });
                };
                self.process = Some(process);
                self.stand = Stand::Working(program.clone(), process);
                waits("copying its environment")
            }
            Stand::Working(program, process) => {
                let (program, process) = (program.clone(), *process);
                let answer = run(&script::look(&plan.run, process))?;
                match answer.stage_said {
                    Some(Said::Staged(staged)) => {
                        self.board().staged(self.which(plan), self.index, &staged);
                        let news = self.news(&staged);
                        self.stand = Stand::Here(program, staged);
                        Ok(Progress::Ready(news))
                    }
                    Some(Said::Failed { message, hint }) => Err(self.failure(&message, hint)),
                    _ if answer.stager != Some(Some(process)) => {
                        Err(self.failure(&format!("{program} has ended\n{}", answer.stage_log), None))
                    }
                    Some(Said::Doing(what)) => waits(&printable(&what)),
                    None => waits("copying its environment"),
                }
            }
            Stand::Here(..) => Ok(Progress::Ready(None)),
        }
    }

    /// The plan with which engines run from there. None as long as they cannot.
    pub fn plan(&self, plan: &HostPlan) -> Option<HostPlan> {
        let Stand::Here(program, staged) = &self.stand else { return None };
        let hold = [program, "stage", "--hold", &staged.entry, "--"].map(str::to_owned);
        let wrap = hold.into_iter().chain(plan.wrap.iter().cloned()).collect();
        Some(HostPlan { python: staged.python.clone(), wrap, ..plan.clone() })
    }

    /// Only what is not as it should be.
    fn news(&self, staged: &Staged) -> Option<String> {
        let instead = staged.instead.as_ref().filter(|_| staged.from == Origin::Installed)?;
        let why = printable(instead);
        Some(format!("{} has read its environment from where it is installed: {why}", self.name))
    }

    fn failure(&self, why: &str, hint: Option<String>) -> Failure {
        let message = format!("{} cannot have its environment on a disk of its own: {}", self.name, why.trim_end());
        Failure::new(Exit::StartFailed, message).with_hint(hint.unwrap_or_else(|| HINT.to_owned()))
    }

    /// Hosts that have the same environment, or are to have it.
    fn which<'a>(&'a self, plan: &'a HostPlan) -> &'a str {
        self.shared.archive.as_deref().unwrap_or(&plan.python)
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.shared.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostStaging {
    fn drop(&mut self) {
        let mut board = self.board();
        board.forget(self.index);
    }
}
