//! The real other hosts and queue of a profile.

use super::outside::{Answer, Outside};
use super::scratch::Scratch;
use crate::batch;
use crate::batch::launcher::dry_run;
use crate::batch::options::BatchOptions;
use crate::cluster::ClusterFolder;
use crate::cluster::logs::LogFolder;
use crate::failure::Failure;
use crate::launchers::maker::batch_options;
use crate::launchers::{EngineSet, SetId};
use crate::profile::Profile;
use crate::settings::StartSettings;
use crate::ssh::asker::{Remembering, of_terminal};
use crate::ssh::{self, Remote};
use ipclusterz_runtime::ids::EngineId;
use ipclusterz_runtime::places;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// See [`Outside`].
pub struct Real<'a> {
    profile: &'a Profile,
    python: PathBuf,
    asker: RefCell<Remembering>,
    /// One for each host, so that nobody is asked twice.
    connections: RefCell<BTreeMap<String, Box<dyn Remote>>>,
}

impl<'a> Real<'a> {
    /// `python` is that of engines on this host; jobs run it by the same path.
    pub fn new(profile: &'a Profile, python: PathBuf) -> Self {
        let asker = of_terminal(profile.tables.ssh.ask);
        let asker = RefCell::new(Remembering::new(asker, Arc::default()));
        Self { profile, python, asker, connections: RefCell::default() }
    }

    /// What jobs would be made from, with scripts in `logs` rather than where a cluster's are.
    fn options(&self, logs: Option<&Path>) -> Result<BatchOptions, Failure> {
        let settings = StartSettings::of(places::DEFAULT_CLUSTER.to_owned(), self.profile.clone())?;
        let options = batch_options(&settings, &self.python, &ClusterFolder::of(&settings.cluster)?)?;
        Ok(match logs {
            Some(logs) => BatchOptions { logs: LogFolder::at(logs.to_path_buf()), ..options },
            None => options,
        })
    }

    fn first_set(&self, options: &BatchOptions) -> EngineSet {
        let wanted = self.profile.tables.engines.count;
        EngineSet { id: SetId(0), first: EngineId(0), count: options.set_size(wanted) }
    }
}

impl Outside for Real<'_> {
    fn on_host(&self, host: &str, command: &str, deadline: Duration) -> Result<Answer, Failure> {
        let table = &self.profile.tables.ssh;
        let mut connections = self.connections.borrow_mut();
        let remote = match connections.entry(host.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(ssh::connect(host, table, &mut *self.asker.borrow_mut())?),
        };
        let done = remote.run(command, b"", Instant::now() + deadline)?;
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
        Ok(batch::script::render(&options, &self.first_set(&options))?.script)
    }

    fn validate(&self) -> Result<Option<String>, Failure> {
        let scratch = Scratch::in_folder(&places::state_root()?)?;
        let options = self.options(Some(scratch.path()))?;
        dry_run(&options, &self.first_set(&options))
    }
}
