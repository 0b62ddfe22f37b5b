//! Starts engines on other hosts through SSH. Each engine is a set of its own, so that any engine can be added, removed
//! and restarted alone.
//!
//! - [`script`]: the scripts for the shells of other hosts
//! - [`staging_script`], [`staging`]: the environment on a disk of each host
//! - [`host`]: the thread that keeps the connection to one host and watches the engines there
//!
//! The SSH connection starts, watches and ends engines. The traffic between engines and controller does not go through
//! it, unless the profile says `reverse = true`.

pub mod host;
pub mod script;
pub mod staging;
pub mod staging_script;

use crate::cluster::ClusterFolder;
use crate::cluster::logs::LogFolder;
use crate::contract::{Launcher, Wake};
use crate::engine_words;
use crate::record::{JobRecord, SetRecord};
use crate::seats::Seats;
use crate::set::{EngineSet, Force, SetEvent, SetId};
use crate::ssh::host::{Command, Engines, HostThread, HostWork, News};
use crate::ssh::script::HostPlan;
use crate::ssh::staging::{HostStaging, Shared};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::engines::EnginesTable;
use ipclusterz_profile::tables::ssh::{SshHost, SshTable};
use ipclusterz_ssh::Endpoint;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::whom::of_terminal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ROOM_HINT: &str =
    "add a host to ssh.hosts of the profile, or raise the number of engines of one, and start the cluster again";
/// Timeout of a host that ends what a crashed launcher left there.
const DESTROY_PATIENCE: Duration = Duration::from_secs(30);

/// Starts engines on the hosts of `[ssh]`.
pub struct SshLauncher {
    hosts: Vec<HostThread>,
    logs: LogFolder,
    placed: BTreeMap<SetId, (usize, EngineSet)>,
    news: Arc<Mutex<Vec<(SetId, SetEvent)>>>,
    table: SshTable,
    engines: EnginesTable,
    /// How many engines were asked for.
    wanted: u32,
    /// By the name of a host.
    seats: BTreeMap<String, Seats>,
}

impl SshLauncher {
    /// Starts a thread for each host; a host is connected to when its first engine is to run there. `run` names this
    /// run of the cluster; `python` is the Python of hosts that have none of their own in the profile.
    pub fn new(
        folder: &ClusterFolder,
        run: &str,
        python: &Path,
        settings: &StartSettings,
        wake: Wake,
    ) -> Result<Self, Failure> {
        let engines = &settings.tables.engines;
        let table = settings.tables.ssh.clone();
        let asker = of_terminal(table.ask);
        // The hosts share the remembered answers, so that one passphrase serves all of them.
        let asker = Arc::new(Mutex::new(Remembering::new(asker, Arc::default())));
        let news = Arc::new(Mutex::new(Vec::new()));
        let here = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
        let controller = if table.reverse { Some(controller_endpoint(folder, settings)?) } else { None };
        let staging = Shared::new(&engines.stage)?;
        let mut hosts = Vec::new();
        for (index, host) in table.hosts.iter().enumerate() {
            let either = |own: &str, common: &str| if own.is_empty() { common.to_owned() } else { own.to_owned() };
            let directory = if engines.directory.is_empty() { here.clone() } else { engines.directory.clone() };
            let plan = HostPlan {
                run: folder_of(run, index, &host.host),
                python: either(&host.python, &python.display().to_string()),
                wrap: engines.wrap.clone(),
                setup: engines.setup.clone(),
                own_environment: engines.env.clone(),
                environment: settings.environment_elsewhere(),
                directory: either(&host.directory, &directory),
                options: [
                    format!("--lease={}", engines.lease),
                    format!("--end-timeout={}", engines.end_timeout),
                    format!("--timeout={}", engine_words::timeout(settings.timeout.as_secs_f64())),
                ]
                .into_iter()
                .chain(engine_words::preload(&engines.preload))
                .chain(engine_words::agent(engines))
                .collect(),
                fork: engines.fork && engines.wrap.is_empty(),
            };
            if staging.is_some() && !plan.python.starts_with('/') {
                return Err(no_path(&host.host, &plan.python));
            }
            let staging = staging.clone().map(|shared| HostStaging::new(shared, index, &host.host));
            let tell = News { events: Arc::clone(&news), wake: Arc::clone(&wake) };
            hosts.push(HostThread::start(
                host,
                HostWork { plan, staging },
                folder,
                &table,
                controller.clone(),
                Arc::clone(&asker),
                tell,
            )?);
        }
        Ok(Self {
            hosts,
            logs: folder.logs(),
            placed: BTreeMap::new(),
            news,
            table,
            engines: engines.clone(),
            wanted: settings.engines,
            seats: BTreeMap::new(),
        })
    }

    /// Takes note that a set has ended.
    fn leave(&mut self, id: SetId) {
        if let Some((index, set)) = self.placed.remove(&id)
            && let Some(seats) = self.seats.get_mut(&self.hosts[index].name)
        {
            seats.ended(set.first);
        }
    }

    /// The first host that has room for an engine.
    fn host_with_room(&self) -> Option<usize> {
        let used = |index: usize| self.placed.values().filter(|(host, _)| *host == index).count();
        (0..self.hosts.len()).find(|index| used(*index) < self.hosts[*index].engines as usize)
    }
}

impl Launcher for SshLauncher {
    fn start(&mut self, set: &EngineSet) -> Result<(), Failure> {
        let Some(index) = self.host_with_room() else {
            let message = format!("no host has room for engine {}: {}", set.first, room(&self.table.hosts));
            return Err(Failure::new(Exit::Usage, message).with_hint(ROOM_HINT));
        };
        self.placed.insert(set.id, (index, set.clone()));
        let beside = engines_beside(&self.table.hosts, index, self.wanted);
        let seat = self.seats.entry(self.hosts[index].name.clone()).or_default().take(set.first, beside);
        self.hosts[index].tell(Command::Start(set.clone(), engine_words::of_host(&self.engines, 0, seat)));
        Ok(())
    }

    fn end(&mut self, set: SetId, force: Force) {
        if let Some((index, placed)) = self.placed.get(&set) {
            if let Some(seats) = self.seats.get_mut(&self.hosts[*index].name) {
                seats.leave(placed.first);
            }
            self.hosts[*index].tell(Command::End(set, force));
        }
    }

    fn poll(&mut self) -> Vec<(SetId, SetEvent)> {
        let events = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        for (set, event) in &events {
            if matches!(event, SetEvent::Ended(_)) {
                self.leave(*set);
            }
        }
        events
    }

    fn records(&self) -> Vec<SetRecord> {
        let record = |(index, set): &(usize, EngineSet)| {
            let host = &self.hosts[*index];
            let Engines { boot_id, processes } = host.engines_now();
            let table = SshTable { hosts: Vec::new(), ..self.table.clone() };
            let processes = processes.get(&set.id).copied().into_iter().collect();
            let (host, run) = (host.name.clone(), host.run.clone());
            SetRecord {
                set: set.clone(),
                job: JobRecord::Remote { host, run, boot_id, processes, ssh: Box::new(table) },
            }
        };
        self.placed.values().map(record).collect()
    }

    fn check_room(&self, engines: u32) -> Result<(), Failure> {
        check_room(&self.table.hosts, engines)
    }

    fn log(&self, set: &EngineSet) -> PathBuf {
        self.logs.engine(set.first)
    }

    fn set_size(&self, _count: u32) -> u32 {
        1
    }
}

/// `engines.stage` needs to know what the environment of a Python is.
fn no_path(host: &str, python: &str) -> Failure {
    let message = format!("engines.stage: the Python of {host} is {python:?}, and has to be a path");
    Failure::new(Exit::Usage, message).with_hint("name it in engines.python, or in ssh.hosts, from the root on")
}

/// The name of a run's folder for one entry of `ssh.hosts`. Entries share nothing: hosts may have one home folder, and an entry has an
/// SSH session and a forwarded port of its own.
fn folder_of(run: &str, index: usize, host: &str) -> String {
    format!("{run}/{index}-{}", host.replace('/', "_"))
}

/// How many engines share the host at `index` when `engines` fill the hosts in order. A host that is left empty counts as
/// full, for it gets engines when the cluster grows.
fn engines_beside(hosts: &[SshHost], index: usize, engines: u32) -> u32 {
    let mut left = engines;
    let mut beside = 0;
    for host in hosts {
        let here = left.min(host.engines);
        left -= here;
        if host.host == hosts[index].host {
            beside += if here == 0 { host.engines } else { here };
        }
    }
    beside
}

/// Formats the hosts with the number of engines that each may run: `n1 (2), n2 (4)`.
fn room(hosts: &[SshHost]) -> String {
    hosts.iter().map(|host| format!("{} ({})", host.host, host.engines)).collect::<Vec<_>>().join(", ")
}

fn check_room(hosts: &[SshHost], engines: u32) -> Result<(), Failure> {
    let there: u64 = hosts.iter().map(|host| u64::from(host.engines)).sum();
    if u64::from(engines) <= there {
        return Ok(());
    }
    let message = format!("no host has room: {engines} engines, and there is room for {there}: {}", room(hosts));
    Err(Failure::new(Exit::Usage, message).with_hint(ROOM_HINT))
}

/// The TCP address of the controller as seen from this host. Its keys keep other users of the forwarded port out.
fn controller_endpoint(folder: &ClusterFolder, settings: &StartSettings) -> Result<Endpoint, Failure> {
    let file = ConnectionFile::read(&folder.engine_file())?;
    let tcp = file.addresses.iter().filter_map(|address| Endpoint::from_address(address));
    let port =
        tcp.filter_map(|endpoint| if let Endpoint::Tcp { port, .. } = endpoint { Some(port) } else { None }).next();
    let listen = settings.listen.clone().unwrap_or_default();
    let host = listen.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']).to_owned();
    match (port, host.as_str()) {
        (Some(port), "" | "0.0.0.0" | "::") => Ok(Endpoint::loopback(port)),
        (Some(port), _) => Ok(Endpoint::Tcp { host, port }),
        (None, _) => Err(Failure::new(Exit::Usage, "ssh.reverse needs a TCP port of the controller")
            .with_hint("set controller.listen = \"127.0.0.1:0\"")),
    }
}

/// Kills the processes that a crashed launcher left on a host, and removes the folder of their run there. Returns the
/// number of processes that were signalled. Blocks until that is done or has timed out.
pub fn destroy(
    host: &str,
    run: &str,
    boot_id: &str,
    processes: &[ipclusterz_host::identity::ProcessIdentity],
    table: &SshTable,
) -> Result<usize, Failure> {
    let deadline = Instant::now() + DESTROY_PATIENCE;
    let mut asker = of_terminal(table.ask);
    let mut remote = ipclusterz_ssh::connect(host, table, &mut *asker)?;
    let mut script = script::signal(libc::SIGKILL, boot_id, processes.iter().copied());
    script.push_str(&script::remove(run));
    let output = remote.run(script::SHELL, script.as_bytes(), deadline)?.text(host, "the end of engines")?;
    Ok(script::Answer::parse(&output).signalled.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, engines: u32) -> SshHost {
        SshHost { host: name.to_owned(), engines, python: String::new(), directory: String::new() }
    }

    #[test]
    fn no_two_entries_have_one_folder() {
        let hosts = ["n1", "me@n1", "n1", "../n1"];
        let folders: Vec<String> =
            hosts.iter().enumerate().map(|(index, host)| folder_of("lab-12", index, host)).collect();
        assert_eq!(folders, ["lab-12/0-n1", "lab-12/1-me@n1", "lab-12/2-n1", "lab-12/3-.._n1"]);
    }

    #[test]
    fn engines_share_a_host_with_those_that_are_placed_there() {
        let hosts = [host("n1", 4), host("n2", 4), host("n3", 2), host("n1", 1)];
        let beside = |engines| [0, 1, 2, 3].map(|index| engines_beside(&hosts, index, engines));
        assert_eq!(beside(11), [5, 4, 2, 5]);
        assert_eq!(beside(6), [5, 2, 2, 5]);
    }

    #[test]
    fn the_room_is_that_of_all_hosts_together() {
        let hosts = [host("n1", 2), host("n2", 1)];
        assert_eq!(check_room(&hosts, 3), Ok(()));
        let failure = check_room(&hosts, 4).expect_err("one too many");
        assert_eq!(failure.message, "no host has room: 4 engines, and there is room for 3: n1 (2), n2 (1)");
        assert!(failure.exit() == Exit::Usage && failure.hint.is_some_and(|hint| hint.contains("ssh.hosts")));
    }
}
