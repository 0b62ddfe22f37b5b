//! `ipclusterz stage`, hidden: has the environment of engines on a disk of this host, and passes it on to others.
//!
//! Reads an order from standard input, and says what it does on standard output: see
//! [`ipclusterz_launchers::stage::order`]. Then it gives the environment to other hosts, until the file that is watched has
//! gone: with the cluster, or with its engines here.
//!
//! With `--in-job` it does so in a job, where no launcher hears of it, and runs the command of engines; `--give` is what
//! it leaves behind there, for other hosts. With `--hold` it notes that an environment is in use, and runs a command in its
//! place.

use crate::arguments::StageArguments;
use crate::stage::cache::{self, Cache};
use crate::stage::in_job;
use crate::stage::passing;
use crate::stage::staging::{self, Staging};
use crate::stage::unpack;
use ipclusterz_base::private::{self, Trust};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::{print_line, print_problem};
use ipclusterz_host::system;
use ipclusterz_launchers::stage::order::{JobOrder, Order, Said, Staged};
use ipclusterz_runtime::transport::handover::Giver;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long to wait for another start on this host, and to read and copy an environment.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Between two looks at the file that is watched.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(arguments: &StageArguments) -> Result<(), Failure> {
    match arguments {
        StageArguments { hold: Some(folder), command, .. } => run_with(folder, command),
        StageArguments { in_job: Some(file), command, .. } => run_in_job(file, command),
        StageArguments { give: Some(file), entry: Some(entry), hash: Some(hash), .. } => {
            let order = job_order(file)?;
            end_when_gone(order.watched.clone()).map_err(Failure::io("starting a thread"))?;
            in_job::give(&order, entry, hash).map_err(Failure::io("giving the environment to other hosts"))
        }
        _ => stage(),
    }
}

/// Runs a command that uses an environment, in the place of this process.
fn run_with(folder: &Path, command: &[OsString]) -> Result<(), Failure> {
    let Some((program, words)) = command.split_first() else {
        return Err(Failure::new(Exit::Usage, "there is no command to run"));
    };
    let lock = cache::hold(folder).map_err(Failure::io(format!("using {}", folder.display())))?;
    system::inherit(lock.as_raw_fd()).map_err(Failure::io("passing on the lock of the environment"))?;
    system::restore_core_limit();
    let mut command = Command::new(program);
    command.args(words);
    let libraries = cache::tree_in(folder).join(unpack::LIBRARIES);
    if libraries.is_dir() {
        let others = std::env::var_os("LD_LIBRARY_PATH").filter(|others| !others.is_empty());
        let all = [Some(libraries.into_os_string()), others].into_iter().flatten().collect::<Vec<_>>();
        command.env("LD_LIBRARY_PATH", all.join(OsStr::new(":")));
    }
    let error = command.exec();
    Err(Failure::io(format!("running {}", program.display()))(error))
}

fn job_order(file: &Path) -> Result<JobOrder, Failure> {
    let text = private::read(file, Trust::Ours)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Exit::Usage, format!("{} is no order of this release: {error}", file.display())))
}

/// Has the environment here, gives it to other hosts of the cluster, and runs the command with its Python.
fn run_in_job(file: &Path, command: &[OsString]) -> Result<(), Failure> {
    let order = job_order(file)?;
    let (deadline, mut tell) = (Instant::now() + PATIENCE, |doing: &str| print_line(doing));
    let cache = Cache::open(deadline, &mut tell)?;
    let Staging { environment, content, instead, .. } = in_job::stage(&cache, &order, deadline, &mut tell)?;
    if let Some(why) = instead {
        print_problem(&format!("the environment was read from where it is installed: {why}"));
    }
    // Other hosts have other ways.
    let _ = in_job::start_giver(file, &order, &environment.folder, &content.hash);
    drop(cache);
    let staged = |word: &OsString| {
        if *word == *order.python { environment.python.clone().into_os_string() } else { word.clone() }
    };
    let command: Vec<OsString> = command.iter().map(staged).collect();
    run_with(&environment.folder, &command)
}

fn stage() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::io("reading the order"))?;
    let order: Order = serde_json::from_str(&line)
        .map_err(|error| Failure::new(Exit::Usage, format!("this is no order of this release: {error}")))?;
    end_when_gone(order.watched.clone()).map_err(Failure::io("starting a thread"))?;
    let mut tell = |doing: &str| say(&Said::Doing(doing.to_owned()));
    // Others may use the folder as soon as it is there.
    let cache = Cache::open(Instant::now() + PATIENCE, &mut tell);
    let staging = cache.and_then(|cache| staging::stage(&cache, &order, &mut tell)).inspect_err(|failure| {
        say(&Said::Failed { message: failure.message.clone(), hint: failure.hint.clone() });
    })?;
    let addresses = give(&order, &staging);
    say(&Said::Staged(Staged {
        python: staging.environment.python.display().to_string(),
        entry: staging.environment.folder.display().to_string(),
        content: staging.content.clone(),
        addresses,
        from: staging.from,
        instead: staging.instead.clone(),
    }));
    // The thread that watches ends this process. Until then the environment is in use.
    loop {
        std::thread::park();
    }
}

/// Gives the environment to other hosts; returns the addresses, none where that cannot be.
fn give(order: &Order, staging: &Staging) -> Vec<String> {
    let (Some(ticket), Some(archive)) = (passing::ticket(&order.secret), staging.environment.archive()) else {
        return Vec::new();
    };
    let given = Giver::new().and_then(|giver| {
        let addresses = giver.addresses();
        passing::give(giver, ticket, staging.content.hash.clone(), archive).map(|()| addresses)
    });
    // Other hosts have other ways.
    given.unwrap_or_default()
}

/// Ends this process when the file is gone.
fn end_when_gone(watched: String) -> io::Result<()> {
    let watch = move || {
        while Path::new(&watched).exists() {
            std::thread::sleep(LOOK_INTERVAL);
        }
        std::process::exit(0);
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(watch).map(drop)
}

fn say(said: &Said) {
    let line = serde_json::to_string(said).unwrap_or_default();
    // Who asked may be gone; the file that is watched tells.
    let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
}
