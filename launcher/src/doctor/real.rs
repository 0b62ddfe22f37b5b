//! The implementation of [`Outside`] with the real hosts and the real queue of a profile.

use super::job::queue_timeout;
use super::outside::{Answer, Outside, Question};
use super::scratch::Scratch;
use crate::remote::there::There;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::batch;
use ipclusterz_launchers::batch::launcher::dry_run;
use ipclusterz_launchers::batch::options::BatchOptions;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::logs::LogFolder;
use ipclusterz_launchers::maker::batch_options;
use ipclusterz_launchers::set::{EngineSet, SetId};
use ipclusterz_launchers::setup;
use ipclusterz_launchers::ssh::script::SHELL;
use ipclusterz_profile::Profile;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_ssh::Remote;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::whom::of_terminal;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The hosts and the queue of one profile; see [`Outside`].
pub struct Real<'a> {
    profile: &'a Profile,
    python: PathBuf,
    asker: RefCell<Remembering>,
    /// One connection for each host, so that the user is asked only once.
    connections: RefCell<BTreeMap<String, Box<dyn Remote>>>,
    /// The `ipclusterz` found on the host of the whole cluster, and the path of a folder there.
    there: RefCell<Option<(There, String)>>,
}

/// How long all stages there may take together. Some of them wait for hosts and a queue.
const PATIENCE_THERE: Duration = Duration::from_secs(300);

impl<'a> Real<'a> {
    /// `python` is that of engines on this host; jobs run it by the same path.
    pub fn new(profile: &'a Profile, python: PathBuf) -> Self {
        let asker = of_terminal(profile.tables.ssh.ask);
        let asker = RefCell::new(Remembering::new(asker, Arc::default()));
        Self { profile, python, asker, connections: RefCell::default(), there: RefCell::default() }
    }

    /// Calls `act` with a connection to a host. The connection stays open for later calls.
    fn with_host<T>(&self, host: &str, act: impl FnOnce(&mut dyn Remote) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut connections = self.connections.borrow_mut();
        let remote = match connections.entry(host.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(ipclusterz_ssh::connect(host, &self.profile.tables.ssh, &mut *self.asker.borrow_mut())?)
            }
        };
        act(&mut **remote)
    }

    /// How long a start with one engine may take.
    fn longest_trial(&self) -> Duration {
        let tables = &self.profile.tables;
        Duration::try_from_secs_f64(queue_timeout(&tables.batch) + tables.engines.timeout).unwrap_or(PATIENCE_THERE)
    }

    /// The options that jobs would be made from. With `logs`, scripts go there and not into the cluster's folder.
    fn options(&self, logs: Option<&Path>) -> Result<BatchOptions, Failure> {
        let settings = StartSettings::of(places::DEFAULT_CLUSTER.to_owned(), self.profile.clone())?;
        let options = batch_options(&settings, &self.python, &ClusterFolder::of(&settings.cluster)?)?;
        Ok(match logs {
            Some(logs) => BatchOptions { logs: LogFolder::at(logs.to_path_buf()), ..options },
            None => options,
        })
    }

    fn first_sets(&self, options: &BatchOptions) -> Vec<EngineSet> {
        options.first_sets(self.profile.tables.engines.count)
    }
}

impl Outside for Real<'_> {
    fn on_host(&self, host: &str, command: &str, deadline: Duration) -> Result<Answer, Failure> {
        let done = self.with_host(host, |remote| Ok(remote.run(command, b"", Instant::now() + deadline)?))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer {
            success: done.status == 0,
            how: format!("exit status: {}", done.status),
            output: text(&done.stdout),
            errors: text(&done.stderr),
        })
    }

    fn ask_queue(&self, deadline: Duration) -> Result<String, Failure> {
        batch::trial::answers(&self.profile.tables.queue, deadline)
    }

    fn script(&self) -> Result<String, Failure> {
        let options = self.options(None)?;
        options.check()?;
        setup::check(&options.engines.setup)?;
        let sets = self.first_sets(&options);
        let scripts = sets.iter().map(|set| Ok(batch::script::render(&options, set)?.script));
        Ok(scripts.collect::<Result<Vec<_>, Failure>>()?.join("\n"))
    }

    fn validate(&self) -> Result<Option<String>, Failure> {
        // Inside a job nothing is submitted.
        if batch::inside::job_id(&self.profile.tables.queue).is_some() {
            return Ok(None);
        }
        let scratch = Scratch::in_folder(&places::state_root()?)?;
        let options = self.options(Some(scratch.path()))?;
        let sets = self.first_sets(&options);
        let words = sets.iter().map(|set| dry_run(&options, set)).collect::<Result<Option<Vec<_>>, _>>()?;
        Ok(words.map(|words| words.join("\n")))
    }

    fn start_in_job(&self, engines: u32) -> Result<Option<Vec<String>>, Failure> {
        if batch::inside::job_id(&self.profile.tables.queue).is_none() {
            return Ok(None);
        }
        let set = EngineSet { id: SetId(0), first: EngineId(0), count: engines, group: None };
        Ok(batch::inside::prefixes(&self.options(None)?, &set)?.into_iter().next())
    }

    fn find_there(&self) -> Result<String, Failure> {
        let own = std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))?;
        let tables = &self.profile.tables;
        let mut there = There::new(places::DEFAULT_CLUSTER.to_owned(), &tables.ssh);
        let host = there.record.host.clone();
        let python = Some(tables.engines.python.as_str()).filter(|python| !python.is_empty());
        let prepared = self.with_host(&host, |remote| {
            let prepared = there.prepare(remote, python, &own.to_string_lossy());
            if prepared.is_err() {
                // Removes the folder there. An error is ignored: why there is no program says more.
                let _ = there.remove(remote);
            }
            prepared
        });
        let folder = prepared?;
        let found = format!("{}: version {}", there.record.program.as_deref().unwrap_or_default(), there.release);
        *self.there.borrow_mut() = Some((there, folder));
        Ok(found)
    }

    fn ask_there(&self, question: Question) -> Result<String, Failure> {
        let Some((there, folder)) = self.there.borrow_mut().take() else {
            return Err(Failure::new(Exit::Failure, "ipclusterz there has not been looked for"));
        };
        let profile = crate::remote::plan::profile_of_host(self.profile.clone())?;
        let patience = match question {
            Question::ProfileRun => PATIENCE_THERE + self.longest_trial(),
            Question::ProfileCheck | Question::Doctor => PATIENCE_THERE,
        };
        let seconds = patience.as_secs();
        print_line(&format!("{} looks at the profile; that may take up to {seconds} s", there.record.host));
        self.with_host(&there.record.host, |remote| {
            let file = format!("{folder}/profile.toml");
            let asked = remote.upload(&file, profile.as_bytes(), 0o600).map_err(Failure::from).and_then(|()| {
                let script = there.look_at_profile(question.words());
                Ok(remote.run(SHELL, script.as_bytes(), Instant::now() + patience)?)
            });
            let removed = there.remove(remote);
            // A check that fails exits with 1, but has printed its findings.
            let output = asked?;
            removed?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ok(if output.stdout.is_empty() { text(&output.stderr) } else { text(&output.stdout) })
        })
    }
}
