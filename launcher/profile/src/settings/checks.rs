//! Sets values that follow from others, and refuses values that make no sense, alone or together.
//!
//! Each value must make sense by itself. Values must make sense together only if this profile's launcher uses them.

use super::error::{LONGEST, SettingsError, seconds};
use super::{refusals, surrounding};
use crate::environment::Variables;
use crate::error::ProfileError;
use crate::origin::Origin;
use crate::profile::Profile;
use crate::tables::engines::{LauncherKind, OnRankLoss, Shared};
use ipclusterz_base::cores;
use regex::Regex;

/// The least that a log may be bounded to, bytes: a start and an end have room in it.
const LOG_LEAST: u64 = 64 << 10;
/// Most earlier parts of a log.
const LOG_FILES_MOST: u32 = 100;

/// Which engine may be given the next load-balanced task.
const SCHEMES: [&str; 5] = ["leastload", "lru", "random", "weighted", "pure"];

pub(super) type Checked = Result<(), SettingsError>;

/// Address of the controller when engines are elsewhere and the profile names none.
const LISTEN_EVERYWHERE: &str = "0.0.0.0:0";

/// Address of the controller when engines are here, and there is no unix socket for them.
const LISTEN_HERE: &str = "127.0.0.1:0";

/// How many engines jobs have when nothing says how many: a queue has no size of its own.
const A_FEW: u64 = 4;

/// Sets values that nobody has chosen but that other values imply.
pub fn derive(profile: &mut Profile, variables: &Variables) -> Result<(), ProfileError> {
    let launcher = profile.tables.engines.launcher;
    let controller = &profile.tables.controller;
    if controller.listen.is_empty() {
        if launcher != LauncherKind::Local {
            let reason = format!("as engines.launcher is \"{}\"", launcher.word());
            profile.derive("controller.listen", LISTEN_EVERYWHERE.into(), reason)?;
        } else if !controller.local {
            let reason = "as controller.local = false, and engines are here".to_owned();
            profile.derive("controller.listen", LISTEN_HERE.into(), reason)?;
        }
    }
    surrounding::leave_groups_out(profile, variables)?;
    if nobody_says_how_many(profile) {
        match surrounding::tasks(profile, variables) {
            Some(Ok((count, reason))) => return profile.derive("engines.count", count.into(), reason),
            // What the profile says of nodes holds.
            Some(Err(_)) if engines_of_job(profile) > 0 => {}
            // Refused where it is needed.
            Some(Err(reason)) => return profile.derive("engines.count", 0.into(), reason),
            None => {}
        }
        let room = match launcher {
            LauncherKind::Ssh => (engines_of_hosts(profile), "as ssh.hosts say"),
            LauncherKind::Batch if !profile.tables.batch.groups.is_empty() => {
                (u64::from(profile.tables.batch.engines_of_groups()), "as batch.groups say")
            }
            LauncherKind::Batch => (engines_of_job(profile), "as batch.nodes and batch.engines_per_node say"),
            // The host itself finds out.
            _ if !profile.tables.ssh.controller.is_empty() => return Ok(()),
            LauncherKind::Local => (cores::available() as u64, "as many as cores here"),
            LauncherKind::Mpiexec => match slots(&profile.tables.mpiexec.hosts) {
                0 => (cores::available_whole() as u64, "as many as cores here"),
                slots => (slots, "as mpiexec.hosts say"),
            },
        };
        let (count, reason) = if room.0 > 0 { room } else { (A_FEW, "as nothing else says how many") };
        profile.derive("engines.count", i64::try_from(count).unwrap_or(i64::MAX).into(), reason.to_owned())?;
    }
    Ok(())
}

/// Whether the number of engines is the default's, or a profile says 0 as that does.
fn nobody_says_how_many(profile: &Profile) -> bool {
    match profile.origin("engines.count") {
        Origin::Shipped { .. } | Origin::File { .. } => profile.tables.engines.count == 0,
        Origin::Variable(_) | Origin::Option(_) | Origin::Derived(_) => false,
    }
}

/// The slots of the hosts of `[mpiexec]`, of which one without a number has one; 0 if there are no hosts.
fn slots(hosts: &[String]) -> u64 {
    hosts.iter().map(|host| host.rsplit_once(':').and_then(|(_, slots)| slots.parse::<u64>().ok()).unwrap_or(1)).sum()
}

fn engines_of_hosts(profile: &Profile) -> u64 {
    profile.tables.ssh.hosts.iter().map(|host| u64::from(host.engines)).sum()
}

/// How many engines the nodes of a job hold; 0 if the profile does not say.
fn engines_of_job(profile: &Profile) -> u64 {
    let batch = &profile.tables.batch;
    if batch.blocks.max > 0 || batch.array { 0 } else { u64::from(batch.nodes) * u64::from(batch.engines_per_node) }
}

/// Runs all checks and returns the first error.
pub fn check(profile: &Profile) -> Checked {
    let checks = Checks(profile);
    checks.engines()?;
    checks.place()?;
    checks.preload()?;
    checks.offers()?;
    checks.stage()?;
    checks.times()?;
    checks.addresses()?;
    checks.ssh()?;
    checks.mpiexec()?;
    checks.rank_loss()?;
    checks.resources()?;
    checks.groups()?;
    checks.queue()
}

pub(super) struct Checks<'a>(pub(super) &'a Profile);

impl Checks<'_> {
    pub(super) fn error(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> SettingsError {
        SettingsError::BadValue { origin: self.0.origin(key).about(key), message: message.into(), hint: hint.into() }
    }

    /// `key` and the origin of its value, for the other half of a contradiction.
    pub(super) fn other(&self, key: &str) -> String {
        format!("`{key}` ({})", self.0.origin(key))
    }

    pub(super) fn launcher(&self) -> LauncherKind {
        self.0.tables.engines.launcher
    }

    fn engines(&self) -> Checked {
        let engines = &self.0.tables.engines;
        // A host that is to find out how many it has room for is told 0.
        let found_out_there = nobody_says_how_many(self.0) && !self.0.tables.ssh.controller.is_empty();
        if let (0, Origin::Derived(why)) = (engines.count, self.0.origin("engines.count")) {
            return Err(SettingsError::BadValue {
                origin: "engines.count".to_owned(),
                message: why,
                hint: "give a number, such as `-n 4`, or ask for a number of tasks when you ask for the job".to_owned(),
            });
        }
        if engines.count == 0 && !found_out_there && !self.wants_none() {
            return Err(self.error(
                "engines.count",
                "0 engines cannot do anything",
                "start at least one: `ipclusterz -n 1`",
            ));
        }
        if engines.threads == Shared::Number(0) {
            return Err(self.error(
                "engines.threads",
                "0 threads cannot do anything",
                "give 1 or more, \"share\" or \"unset\"",
            ));
        }
        let bad = |name: &String| name.is_empty() || name.contains(['=', '\0']) || engines.env[name].contains('\0');
        match engines.env.keys().find(|name| bad(name)) {
            Some(name) => Err(self.error(
                "engines.env",
                format!("{name:?} and its value cannot be in an environment"),
                "a name is not empty and has no `=`; neither it nor the value has a NUL character",
            )),
            None => Ok(()),
        }
    }

    /// Refuses resources and tags whose names would be read otherwise on an engine's command line.
    fn offers(&self) -> Checked {
        let good = |name: &String| {
            let letters = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
            !name.is_empty() && name.len() <= 64 && name.chars().all(letters)
        };
        let (engines, groups) = (&self.0.tables.engines, &self.0.tables.batch.groups);
        let of_groups = groups.iter().flat_map(|group| {
            group.tags.iter().flatten().chain(group.resources.iter().flat_map(|resources| resources.keys()))
        });
        let key = |name: &String| {
            let tag = engines.tags.contains(name);
            let resource = engines.resources.contains_key(name);
            if tag {
                "engines.tags"
            } else if resource {
                "engines.resources"
            } else {
                "batch.groups"
            }
        };
        match engines.tags.iter().chain(engines.resources.keys()).chain(of_groups).find(|name| !good(name)) {
            Some(name) => Err(self.error(
                key(name),
                format!("{name:?} is not the name of a resource or a tag"),
                "letters, digits, `_`, `.` and `-`, 64 at most: [engines.resources] gpus = 1",
            )),
            None => Ok(()),
        }
    }

    /// Whether a controller without engines was asked for, which come by themselves.
    fn wants_none(&self) -> bool {
        let said = matches!(self.0.origin("engines.count"), Origin::Variable(_) | Origin::Option(_));
        said && self.0.tables.ssh.controller.is_empty()
    }

    /// Refuses what is no name of a module: it would be told apart from others by commas.
    fn preload(&self) -> Checked {
        let part = |part: &str| {
            let first = part.chars().next();
            let letters = |letter: char| letter.is_alphanumeric() || letter == '_';
            first.is_some_and(|first| !first.is_numeric()) && part.chars().all(letters)
        };
        match self.0.tables.engines.preload.iter().find(|name| !name.split('.').all(part)) {
            Some(name) => Err(self.error(
                "engines.preload",
                format!("{name:?} is not the name of a module"),
                "for example: preload = [\"numpy\", \"scipy.linalg\"]",
            )),
            None => Ok(()),
        }
    }

    fn times(&self) -> Checked {
        let (engines, ssh, batch) = (&self.0.tables.engines, &self.0.tables.ssh, &self.0.tables.batch);
        for (key, value) in [
            ("controller.session_grace", self.0.tables.controller.session_grace),
            ("controller.engine_grace", self.0.tables.controller.engine_grace),
            ("controller.wait_for_engines", self.0.tables.controller.wait_for_engines),
            ("engines.timeout", engines.timeout),
            ("engines.lease", engines.lease),
            ("engines.end_timeout", engines.end_timeout),
            ("engines.restart_window", engines.restart_window),
            ("ssh.keep_alive", ssh.keep_alive),
            ("ssh.connect_timeout", ssh.connect_timeout),
            ("batch.poll", batch.poll),
        ] {
            seconds(&self.0.origin(key).about(key), value)?;
        }
        for (key, value) in [
            ("controller.keep_results", self.0.tables.controller.keep_results),
            ("controller.keep_events", self.0.tables.controller.keep_events),
            ("controller.kill_grace", self.0.tables.controller.kill_grace),
            ("batch.idle_time", batch.idle_time),
            ("batch.warn_before", batch.warn_before),
            ("batch.drain_before", batch.drain_before),
            ("batch.queue_timeout", batch.queue_timeout),
        ] {
            if !(0.0..=LONGEST).contains(&value) {
                return Err(self.error(key, format!("{value} is not a number of seconds"), "give 0 or more"));
            }
        }
        let days = self.0.tables.logs.keep_days;
        if !(0.0..=LONGEST).contains(&days) {
            return Err(self.error("logs.keep_days", format!("{days} is not a number of days"), "give 0 or more"));
        }
        let size = &self.0.tables.logs.max_size;
        if self.0.tables.logs.limit().is_none_or(|limit| limit.bytes < LOG_LEAST) {
            let message = format!("{size:?} is not a size of 64 KiB or more");
            return Err(self.error("logs.max_size", message, "for example: \"10 MiB\""));
        }
        let controller = &self.0.tables.controller;
        if controller.crash_limit == 0 {
            return Err(self.error("controller.crash_limit", "0 engines are too few", "give 1 or more"));
        }
        if !SCHEMES.contains(&controller.scheme.as_str()) {
            let message = format!("there is no scheme {:?}", controller.scheme);
            return Err(self.error("controller.scheme", message, format!("there are: {}", SCHEMES.join(", "))));
        }
        if controller.kept_bytes().is_none() {
            let message = format!("{:?} is not a size", controller.keep_results_bytes);
            return Err(self.error("controller.keep_results_bytes", message, "for example: \"1 GiB\""));
        }
        if controller.kept_bytes_of_events().is_none() {
            let message = format!("{:?} is not a size", controller.keep_events_bytes);
            return Err(self.error("controller.keep_events_bytes", message, "for example: \"32 MiB\""));
        }
        let files = self.0.tables.logs.files;
        if files > LOG_FILES_MOST {
            let message = format!("{files} files are too many");
            return Err(self.error("logs.files", message, format!("give a number from 0 to {LOG_FILES_MOST}")));
        }
        Ok(())
    }

    fn addresses(&self) -> Checked {
        let controller = &self.0.tables.controller;
        if controller.encrypt_tunnels && !controller.encrypt {
            return Err(self.error(
                "controller.encrypt_tunnels",
                format!("true makes no sense where {} is false", self.other("controller.encrypt")),
                "set both to true, or leave this one out",
            ));
        }
        if !controller.listen.is_empty() {
            return self.listen(&controller.listen);
        }
        if !controller.advertise.is_empty() {
            return Err(self.error(
                "controller.advertise",
                "there is no TCP port to offer",
                "add `--listen 0.0.0.0:0` or another address",
            ));
        }
        Ok(())
    }

    /// Refuses text that cannot be an address with a port. The controller finds out whether this host has that address.
    fn listen(&self, listen: &str) -> Checked {
        const HINT: &str = "give ADDRESS:PORT, such as 0.0.0.0:10101, [::]:10101, or 127.0.0.1:0 for a free port";
        let bad = |message: String| Err(self.error("controller.listen", message, HINT));
        let Some((address, port)) = listen.rsplit_once(':') else {
            return bad(format!("{listen:?} has no port"));
        };
        let bracketed = address.starts_with('[') && address.ends_with(']');
        if address.is_empty() || (address.contains(':') && !bracketed) || address.contains(['/', ' ']) {
            return bad(format!("{address:?} is not an address"));
        }
        match port.parse::<u16>() {
            Ok(_) => Ok(()),
            Err(_) => bad(format!("{port:?} is not a port (0 to 65535)")),
        }
    }

    fn ssh(&self) -> Checked {
        let ssh = &self.0.tables.ssh;
        if let Some(host) = ssh.hosts.iter().find(|host| host.engines == 0 || host.host.is_empty()) {
            let message = format!("host {:?} with {} engines", host.host, host.engines);
            return Err(self.error("ssh.hosts", message, "give each host a name and at least one engine"));
        }
        if self.launcher() != LauncherKind::Ssh {
            return match ssh.reverse {
                true => Err(self.error(
                    "ssh.reverse",
                    format!(
                        "nothing to forward back through: {} is \"{}\"",
                        self.other("engines.launcher"),
                        self.launcher().word()
                    ),
                    match self.launcher() {
                        LauncherKind::Batch => {
                            "reverse goes with launcher = \"ssh\"; for nodes that cannot reach this host, run the \
                             controller on the login host: [ssh] controller = \"me@login\""
                        }
                        _ => "reverse goes with launcher = \"ssh\"",
                    },
                )),
                false => Ok(()),
            };
        }
        if ssh.hosts.is_empty() {
            return Err(self.error(
                "engines.launcher",
                format!("\"ssh\", but {} names no host", self.other("ssh.hosts")),
                "for example: [ssh] hosts = [{ host = \"n1\", engines = 4 }]",
            ));
        }
        let (wanted, room) = (u64::from(self.0.tables.engines.count), engines_of_hosts(self.0));
        if wanted > room {
            return Err(self.error(
                "engines.count",
                format!("{wanted} engines, but {} have {room}", self.other("ssh.hosts")),
                format!("start at most {room}, or give the hosts more"),
            ));
        }
        Ok(())
    }

    fn mpiexec(&self) -> Checked {
        let mpiexec = &self.0.tables.mpiexec;
        if self.launcher() != LauncherKind::Mpiexec {
            return Ok(());
        }
        if mpiexec.program.is_empty() {
            return Err(self.error("mpiexec.program", "no program to start ranks with", "for example: \"mpiexec\""));
        }
        if !mpiexec.hosts.is_empty() && !mpiexec.hostfile.is_empty() {
            return Err(self.error(
                "mpiexec.hosts",
                format!("hosts are named here and in {}", self.other("mpiexec.hostfile")),
                "keep one of them",
            ));
        }
        Ok(())
    }

    /// Checks `engines.on_rank_loss` if the engines are the ranks of a world. The default suits every launcher.
    fn rank_loss(&self) -> Checked {
        const KEY: &str = "engines.on_rank_loss";
        let (tables, wanted) = (&self.0.tables, self.0.tables.engines.on_rank_loss);
        if wanted == OnRankLoss::Restart {
            return Ok(());
        }
        let (program, arguments, checks_world) = match self.launcher() {
            LauncherKind::Mpiexec => ("mpiexec.arguments", &tables.mpiexec.arguments, "mpiexec.check_world"),
            LauncherKind::Batch => ("queue.start", &tables.queue.start, "batch.check_world"),
            launcher @ (LauncherKind::Local | LauncherKind::Ssh) => {
                let (other, word) = (self.other("engines.launcher"), launcher.word());
                return Err(self.error(
                    KEY,
                    format!("there are no ranks to lose: {other} is \"{word}\""),
                    "on_rank_loss goes with launcher = \"mpiexec\" or \"batch\"; restart = true has engines that die start again",
                ));
            }
        };
        let is_world = tables.batch.check_world || self.launcher() == LauncherKind::Mpiexec;
        if !is_world {
            let message = format!("engines that need not be ranks of one world: {} is false", self.other(checks_world));
            return Err(self.error(KEY, message, "set check_world = true, or leave on_rank_loss out"));
        }
        if wanted == OnRankLoss::Stop && tables.engines.restart {
            return Err(self.error(
                KEY,
                format!("\"stop\" starts nothing again, but {} is true", self.other("engines.restart")),
                "set on_rank_loss = \"restart\", or restart = false",
            ));
        }
        let kills = |argument: &&String| {
            ["--kill-on-bad-exit", "--kill-on-bad-exit=1", "-K", "-K1"].contains(&argument.as_str())
        };
        if wanted == OnRankLoss::Shrink
            && let Some(argument) = arguments.iter().find(kills)
        {
            return Err(self.error(
                KEY,
                format!("\"shrink\" keeps the other ranks, which {argument} in {} ends", self.other(program)),
                "leave that argument out, or set on_rank_loss = \"restart\"",
            ));
        }
        Ok(())
    }

    /// Checks `[queue]` if it is used.
    fn queue(&self) -> Checked {
        let (batch, queue) = (&self.0.tables.batch, &self.0.tables.queue);
        for (key, pattern, groups) in [
            ("queue.job_id", &queue.job_id, &["id"][..]),
            ("queue.status_line", &queue.status_line, &["id", "state"]),
            ("queue.outcome_line", &queue.outcome_line, &[]),
            ("queue.accounting_line", &queue.accounting_line, &[]),
            ("queue.unknown", &queue.unknown, &[]),
        ] {
            self.pattern(key, pattern, groups)?;
        }
        for refusal in &queue.refusals {
            self.pattern("queue.refusals", &refusal.pattern, &[])?;
            if let Some((message, hint)) = refusals::fault(refusal) {
                return Err(self.error("queue.refusals", message, hint));
            }
        }
        if self.launcher() != LauncherKind::Batch {
            return Ok(());
        }
        const EXTEND: &str =
            "extend the profile of your queue: extends = \"slurm\", \"pbs\", \"lsf\", \"sge\" or \"htcondor\"";
        if queue.name.is_empty() {
            let message = format!("\"batch\", but {} names no queue", self.other("queue.name"));
            return Err(self.error("engines.launcher", message, EXTEND));
        }
        for (key, missing) in [
            ("queue.submit", queue.submit.is_empty()),
            ("queue.job_id", queue.job_id.is_empty()),
            ("queue.status", queue.status.is_empty()),
            ("queue.status_line", queue.status_line.is_empty()),
            ("queue.cancel", queue.cancel.is_empty()),
        ] {
            if missing {
                let message = format!("{:?} cannot be used, for {} is empty", queue.name, self.other(key));
                return Err(self.error("queue.name", message, EXTEND));
            }
        }
        let room = if batch.groups.is_empty() { engines_of_job(self.0) } else { 0 };
        let wanted = u64::from(self.0.tables.engines.count);
        if room > 0 && wanted > room {
            let (nodes, per_node) = (self.other("batch.nodes"), self.other("batch.engines_per_node"));
            return Err(self.error(
                "engines.count",
                format!("{wanted} engines, but {nodes} and {per_node} make room for {room}"),
                format!("start at most {room}, ask for more nodes, or set nodes = 0 for as many as it takes"),
            ));
        }
        if batch.blocks.max > 0 && batch.engines_per_node == 0 {
            let unknown =
                format!("{} says nothing of the engines on a block's nodes", self.other("batch.engines_per_node"));
            return Err(self.error(
                "batch.blocks.max",
                unknown,
                "set engines_per_node, such as to the cores of a node",
            ));
        }
        let no_arrays = queue.array_index.is_empty() || (queue.array.is_empty() && queue.description.is_empty());
        if batch.array && no_arrays {
            let message = format!("the queue {:?} has no form of arrays", queue.name);
            return Err(self.error("batch.array", message, "set queue.array and queue.array_index, or array = false"));
        }
        if batch.array && batch.check_world {
            return Err(self.error(
                "batch.array",
                format!(
                    "the tasks of an array cannot be the ranks of one MPI program, which {} wants",
                    self.other("batch.check_world")
                ),
                "set array = false, or check_world = false",
            ));
        }
        Ok(())
    }

    fn pattern(&self, key: &str, pattern: &str, groups: &[&str]) -> Checked {
        if pattern.is_empty() {
            return Ok(());
        }
        let regex = Regex::new(pattern).map_err(|error| {
            // The last line says what is wrong. The lines before it draw the place.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.error(key, format!("{pattern:?} is not a regular expression: {reason}"), "see https://docs.rs/regex")
        })?;
        match groups.iter().find(|group| !regex.capture_names().flatten().any(|name| name == **group)) {
            Some(group) => Err(self.error(
                key,
                format!("{pattern:?} has no group `{group}`"),
                format!("name the part that is the {group}: (?<{group}>...)"),
            )),
            None => Ok(()),
        }
    }
}
