//! `ipclusterz tunnel`: a forward to a cluster on another host, and a connection file for it on this host.

use crate::arguments::TunnelArguments;
use crate::output::{Output, versioned};
use crate::remote::clusters::{self, RemoteCluster};
use crate::remote::opened::{Opened, first_that_answers};
use crate::report::TunnelReport;
use crate::start::parent::parent_to_follow;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::{Fate, Owner};
use ipclusterz_host::owned::OwnedFolder;
use ipclusterz_host::signals::{BlockedSignals, Signal};
use ipclusterz_host::stderr::{never_wait, print_line, print_problem};
use ipclusterz_host::system;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::cluster::tunnel::{TUNNEL_VERSION, TunnelRecord};
use ipclusterz_launchers::cluster::{ClusterFolder, ended};
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::tables::ssh::SshTable;
use ipclusterz_profile::{Options, Places, Profile};
use ipclusterz_ssh::answers::read_answer;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::tunnel::{Runner, Tunnel, Way};
use ipclusterz_ssh::whom::of_terminal;
use ipclusterz_ssh::{Asker, Question, Secret, connect};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often to look whether the cluster is still there, and how long that may take.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const LOOK_PATIENCE: Duration = Duration::from_secs(30);

/// Opens the tunnel and keeps it until a signal arrives, the cluster ends, or, with `--exit-with-parent`, until the parent
/// exits.
pub fn run(arguments: &TunnelArguments, variables: &Variables, output: &mut Output) -> Result<Exit, Failure> {
    let parent = parent_to_follow(arguments.exit_with_parent)?;
    // A terminal that is paused does not hold up what goes through the tunnel.
    never_wait(None).map_err(Failure::io("starting the thread of the log"))?;
    let signals = BlockedSignals::block().map_err(Failure::io("blocking signals"))?;
    let table = table(arguments, variables)?;
    let given_up = Arc::new(AtomicBool::new(false));
    let asker = Remembering::new(asker(arguments, &table), Arc::clone(&given_up));
    let (sender, ends) = channel();
    watch_ends(signals, parent, Arc::clone(&given_up), sender.clone())?;

    let opened = open(arguments, table, asker, Arc::clone(&given_up));
    let (report, tunnel, _place, cluster) = match opened {
        // The failure is not reported: it was caused by giving up, and the user knows the reason for that.
        Err(_) if given_up.load(Ordering::Acquire) => return Ok(Exit::Interrupted),
        other => other?,
    };
    output.report(&report)?;
    watch_cluster(cluster, tunnel.runner(), sender)?;
    let why = ends.recv().unwrap_or_else(|_| "the end".to_owned());
    print_line(&format!("{why}: the tunnel to {} ends", report.host));
    Ok(Exit::Ok)
}

/// `[ssh]` of the profile, with the options of the command line.
fn table(arguments: &TunnelArguments, variables: &Variables) -> Result<SshTable, Failure> {
    let backend = arguments.backend.as_deref().map(|backend| ("--backend", "ssh.backend", backend.into()));
    let options =
        Options { profile: arguments.profile.clone(), set: arguments.set.clone(), keys: backend.into_iter().collect() };
    let profile = Profile::load(&options, variables, &Places::of_this_process(variables)?)?;
    let mut table = profile.tables.ssh;
    for file in &arguments.identity {
        if !file.exists() {
            return Err(Failure::new(Exit::Usage, format!("--identity: there is no file {}", file.display())));
        }
        let file = std::path::absolute(file).map_err(Failure::io("looking for the working folder"))?;
        table.identity_files.push(file.to_string_lossy().into_owned());
    }
    Ok(table)
}

fn asker(arguments: &TunnelArguments, table: &SshTable) -> Box<dyn Asker + Send> {
    if arguments.ask_on_stdio { Box::new(Stdio) } else { of_terminal(table.ask) }
}

/// Asks the program that started this one. A question is `{"version": 1, "question": "…", "attempt": 0}` on a line of
/// its own. The answer is also a line: `+` and the secret, or `-` for none.
struct Stdio;

impl Asker for Stdio {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let line = versioned(serde_json::json!({ "question": question.prompt, "attempt": question.attempt }));
        let mut stdout = std::io::stdout();
        stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).ok()?;
        read_answer()
    }

    fn reason(&self) -> &'static str {
        "there was no answer"
    }
}

/// Reports what ends the tunnel, in words for a person. Sets `given_up` first, so that a pending connection is given
/// up.
fn watch_ends(
    signals: BlockedSignals,
    parent: Option<u32>,
    given_up: Arc<AtomicBool>,
    sender: Sender<String>,
) -> Result<(), Failure> {
    let take = move |signal: Signal| {
        let why = match signal {
            Signal::Interrupt | Signal::Terminate | Signal::HangUp => signal.name().to_owned(),
            Signal::ParentChanged if parent.is_some_and(|parent| parent != system::parent_pid()) => {
                "the process that started this one is gone".to_owned()
            }
            Signal::ParentChanged | Signal::ChildEnded => return true,
        };
        given_up.store(true, Ordering::Release);
        sender.send(why).is_ok()
    };
    signals.forward(take).map_err(Failure::io("starting a thread"))
}

/// Reports that the cluster has ended, which its clients here cannot see: to them, the tunnel's other end may be down for
/// a moment.
fn watch_cluster(cluster: RemoteCluster, runner: Runner, ends: Sender<String>) -> Result<(), Failure> {
    let watch = move || {
        let (program, input) = clusters::ended_question(&cluster);
        let mut seen = 0;
        // Twice: a file may be in the middle of being replaced.
        while seen < 2 {
            std::thread::sleep(LOOK_INTERVAL);
            let answer = runner.run(program, input.as_bytes(), Instant::now() + LOOK_PATIENCE);
            let ended = answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).contains(clusters::ENDED));
            seen = if ended { seen + 1 } else { 0 };
        }
        // This process may be ending.
        let _ = ends.send(format!("cluster {:?} has ended", cluster.client.cluster));
    };
    let thread = std::thread::Builder::new().name("cluster-watch".to_owned()).spawn(watch);
    thread.map(drop).map_err(Failure::io("starting a thread"))
}

fn open(
    arguments: &TunnelArguments,
    table: SshTable,
    mut asker: Remembering,
    given_up: Arc<AtomicBool>,
) -> Result<(TunnelReport, Tunnel, Place, RemoteCluster), Failure> {
    let mut place = Place::new(arguments.local_name.as_deref(), &arguments.host)?;
    let mut remote = connect(&arguments.host, &table, &mut asker)?;
    let found = clusters::find(&mut *remote, arguments.cluster.as_deref())?;
    let (opened, file) = first_that_answers(&mut *remote, &found, &place.socket())?;
    file.write(&place.file())?;
    place.leads_to(&file.cluster)?;
    let report = TunnelReport {
        file: place.file(),
        address: opened.listener.endpoint().to_address(),
        cluster: file.cluster,
        run_id: file.run_id,
        host: arguments.host.clone(),
    };
    let way = Way { host: arguments.host.clone(), table, asker: asker.without_asking(), given_up };
    let Opened { forward, listener, to } = opened;
    let tunnel = Tunnel::keep(remote, forward, listener, to, way, Box::new(print_line))?;
    Ok((report, tunnel, place, found))
}

/// The tunnel's files: in a cluster's folder if the user named the tunnel, else in a private folder. Dropping it
/// removes them.
struct Place {
    folder: ClusterFolder,
    record: TunnelRecord,
    sockets: OwnedFolder,
    lock: Option<ClusterLock>,
}

impl Place {
    fn new(name: Option<&str>, host: &str) -> Result<Self, Failure> {
        let named = name.map(claim).transpose()?;
        let sockets = OwnedFolder::new(name.unwrap_or("tunnel"), &format!("tunnel to {host}"))?;
        let record = TunnelRecord {
            version: TUNNEL_VERSION,
            owner: Owner::this_process().map_err(Failure::io("reading /proc/self/stat"))?,
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            host: host.to_owned(),
            cluster: None,
            socket_dir: sockets.path().to_path_buf(),
        };
        let (folder, lock) = match named {
            Some((folder, lock)) => (folder, Some(lock)),
            None => (ClusterFolder::at(sockets.path()), None),
        };
        let place = Self { folder, record, sockets, lock };
        place.record.write(&place.folder)?;
        Ok(place)
    }

    fn file(&self) -> PathBuf {
        self.folder.client_file()
    }

    fn socket(&self) -> PathBuf {
        places::socket_path(self.sockets.path())
    }

    /// Records that the tunnel is open and leads to this cluster.
    fn leads_to(&mut self, cluster: &str) -> Result<(), Failure> {
        self.record.cluster = Some(cluster.to_owned());
        Ok(self.record.write(&self.folder)?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.record.remove_remains(&self.folder) {
            print_problem(&error.to_string());
        }
        // Logs are those of a cluster that had this name before.
        if let Some(lock) = self.lock.take().filter(|_| !self.folder.logs().path().exists()) {
            // A folder that stays is removed with those of ended clusters.
            let _ = ended::remove(&self.folder, lock);
        }
    }
}

/// Claims the folder of the cluster `name` for this process, and removes what a killed tunnel left in it.
fn claim(name: &str) -> Result<(ClusterFolder, ClusterLock), Failure> {
    let taken = |what: String| {
        let message = format!("--as: {what} is named {name:?} already");
        Failure::new(Exit::AlreadyRunning, message)
            .with_hint("choose another name; `ipclusterz list` shows clusters and tunnels")
    };
    let folder = ClusterFolder::of(name)?;
    let lock = ClusterLock::take_new(&folder)?;
    if let Some(handle) = ClusterState::of(&folder)?.handle() {
        return Err(taken(format!("a cluster of {} (launcher pid {})", handle.host, handle.launcher.pid)));
    }
    let record = TunnelRecord::read(&folder)?;
    match (lock, record) {
        (Some(lock), None) => Ok((folder, lock)),
        (Some(lock), Some(record)) if record.owner.fate() == Fate::Gone => {
            record.remove_remains(&folder)?;
            Ok((folder, lock))
        }
        (_, Some(record)) => {
            let Owner { host, process, .. } = &record.owner;
            Err(taken(format!("a tunnel {} (pid {} on {host})", record.where_to(), process.pid)))
        }
        (None, None) => Err(taken("a cluster or a tunnel that is starting or ending".to_owned())),
    }
}
