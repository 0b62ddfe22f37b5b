//! Scripts for the shell on the host of a whole cluster, and the meaning of their answers.
//!
//! A run has a folder there, 0700, with the merged profile, the lease, and the output of the start:
//!
//! ```text
//! <state>/remote/<8 hex digits>/profile.toml, lease, session, report.json, start.log, status, outcome.json
//! ```
//!
//! The cluster there lives as long as its lease is touched; see [`crate::supervisor::lease`].

use super::answers::{MARK, StartProgress, answer, parse_progress, parse_report};
use super::version;
use crate::arguments::JournalChoice;
use crate::report::StartReport;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::hints;
use ipclusterz_host::shell::quote;
use ipclusterz_launchers::record::ClusterElsewhere;
use ipclusterz_launchers::ssh::script::SHELL;
use ipclusterz_profile::tables::ssh::SshTable;
use ipclusterz_ssh::whom::of_terminal;
use ipclusterz_ssh::{Remote, RunOutput, connect, sitting};
use std::time::{Duration, Instant};

/// How long a script may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a cluster may take to end there: longer than `ipclusterz stop` takes to kill one that does not end by
/// itself.
pub const STOP_PATIENCE: Duration = Duration::from_secs(40);

/// A cluster on another host: runs and makes the scripts that start it, look after it and end it.
#[derive(Debug, Clone, PartialEq)]
pub struct There {
    /// What the record on this host keeps about it.
    pub record: ClusterElsewhere,
    /// The number of the release there, once it is known.
    pub release: String,
}

impl There {
    /// A cluster on the host of `ssh.controller`. Nothing is there yet.
    pub fn new(cluster: String, table: &SshTable) -> Self {
        Self::of(ClusterElsewhere {
            host: table.controller.clone(),
            cluster,
            folder: places::random_hex(4),
            run_id: None,
            program: None,
            ssh: Box::new(table.clone()),
        })
    }

    /// The cluster that a record names.
    pub fn of(record: ClusterElsewhere) -> Self {
        Self { record, release: String::new() }
    }

    /// Finds `ipclusterz` there: beside the engines' Python, at the path of this program here, on the PATH of a login,
    /// in the folder of a user's own programs. Makes the run's folder and returns its path. Fails if they do
    /// not understand each other.
    pub fn prepare(&mut self, remote: &mut dyn Remote, python: Option<&str>, own: &str) -> Result<String, Failure> {
        let beside = python.filter(|python| python.starts_with('/')).and_then(|python| python.rsplit_once('/'));
        let mut tried: Vec<String> = beside.map(|(folder, _)| format!("{folder}/ipclusterz")).into_iter().collect();
        tried.push(own.to_owned());
        let words: Vec<String> = tried.iter().map(|path| quote(path)).collect();
        let script = format!(
            "{}mkdir -p \"$d\" && touch \"$d/lease\" && printf '{MARK} folder %s\\n' \"$d\"\n\
             for p in {} \"$(command -v ipclusterz)\" \"$HOME/.local/bin/ipclusterz\"; do\n\
             if [ -x \"$p\" ]; then printf '{MARK} program %s\\n{MARK} version %s\\n' \"$p\" \"$(\"$p\" --version 2>&1)\"\n\
             break; fi; done\n",
            self.prelude(),
            words.join(" ")
        );
        let told = self.text(remote.run(SHELL, script.as_bytes(), Instant::now() + PATIENCE)?)?;
        let host = &self.record.host;
        let Some(folder) = answer(&told, "folder") else {
            return Err(Failure::new(Exit::Unreachable, format!("{host}: no folder could be made: {}", told.trim())));
        };
        let Some(program) = answer(&told, "program") else {
            let message =
                format!("there is no ipclusterz on {host}: tried {}, the PATH and ~/.local/bin", tried.join(", "));
            return Err(Failure::new(Exit::StartFailed, message).with_hint(format!(
                "install it there (pip install {}), or name a Python of {host} beside which it is: engines.python",
                hints::WHEEL
            )));
        };
        self.release = version::check(program, host, answer(&told, "version").unwrap_or_default())?;
        self.record.program = Some(program.to_owned());
        Ok(folder.to_owned())
    }

    /// Begins the start. It goes on without the connection as long as the lease is touched.
    pub fn begin(&self, remote: &mut dyn Remote, journal: JournalChoice) -> Result<(), Failure> {
        let (program, cluster) =
            (quote(self.record.program.as_deref().unwrap_or("ipclusterz")), quote(&self.record.cluster));
        let script = format!(
            "{}cd\n: >\"$d/begun\"\n( {program} start --daemonize --json {} --cluster {cluster} --profile \"$d/profile.toml\" --lease-file \"$d/lease\" \
             </dev/null >\"$d/report.json\" 2>\"$d/start.log\"\n\
             echo $? >\"$d/status.new\"; mv \"$d/status.new\" \"$d/status\" ) </dev/null >/dev/null 2>&1 &\n",
            self.prelude(),
            journal.options()
        );
        self.text(remote.run(SHELL, script.as_bytes(), Instant::now() + PATIENCE)?).map(drop)
    }

    /// A script that has `ipclusterz` check the profile in the folder. `command` is `profile check` or `doctor
    /// --profile`.
    pub fn look_at_profile(&self, command: &str) -> String {
        let program = quote(self.record.program.as_deref().unwrap_or("ipclusterz"));
        format!("{}cd\n{program} {command} \"$d/profile.toml\" --json </dev/null\n", self.prelude())
    }

    /// Removes the folder. Only for a cluster of which nothing was started.
    pub fn remove(&self, remote: &mut dyn Remote) -> Result<(), Failure> {
        let script = format!("{}rm -rf \"$d\"\n", self.prelude());
        self.text(remote.run(SHELL, script.as_bytes(), Instant::now() + PATIENCE)?).map(drop)
    }

    /// Touches the lease and fetches the progress of the start. `offset` is the one of the last look.
    pub fn progress(&self, remote: &mut dyn Remote, offset: usize) -> Result<StartProgress, Failure> {
        let script = format!(
            "{}{}if [ -e \"$d/status\" ]; then printf '{MARK} status %s\\n' \"$(cat \"$d/status\")\"; fi\n\
             printf '{MARK} log\\n'; tail -c +{} \"$d/start.log\" 2>/dev/null; true\n",
            self.prelude(),
            touch(),
            offset + 1
        );
        let told = self.text(remote.run(SHELL, script.as_bytes(), Instant::now() + PATIENCE)?)?;
        Ok(parse_progress(&told, offset))
    }

    /// Fetches the report of the start: the cluster, or why there is none.
    pub fn report(&self, remote: &mut dyn Remote, folder: &str) -> Result<StartReport, Failure> {
        let text = String::from_utf8_lossy(&remote.download(&format!("{folder}/report.json"))?).into_owned();
        parse_report(&text).unwrap_or_else(|| {
            Err(Failure::new(Exit::StartFailed, format!("the start ended without a word {:?}", text.trim())))
        })
    }

    /// A script that touches the lease and looks whether the cluster is there.
    pub fn look(&self) -> String {
        format!(
            "{}{}if [ -e \"$d/outcome.json\" ]; then printf '{MARK} outcome %s\\n' \"$(cat \"$d/outcome.json\")\"; fi\n\
             if there; then printf '{MARK} alive \\n'; fi\n",
            self.prelude(),
            touch()
        )
    }

    /// A script that asks the launcher there for more or fewer engines.
    pub fn scale(&self, change: &str, group: Option<&str>) -> String {
        let of_group = group.map(|group| format!(" --set {}", quote(group))).unwrap_or_default();
        self.ask(&format!("scale {}{of_group} --timeout 0", quote(change)))
    }

    /// A script that asks the launcher there to restart engines.
    pub fn restart(&self, engines: &[EngineId]) -> String {
        let named: Vec<String> = engines.iter().map(|id| format!(" --engine {id}")).collect();
        self.ask(&format!("restart{} --timeout 0", named.concat()))
    }

    /// A script that asks for the cluster's status.
    pub fn status(&self) -> String {
        self.ask("status --timeout 2")
    }

    /// A script that runs a command on the cluster there, and prints the JSON of the command as its answer.
    fn ask(&self, command: &str) -> String {
        let (program, cluster) =
            (quote(self.record.program.as_deref().unwrap_or("ipclusterz")), quote(&self.record.cluster));
        format!(
            "{}there || exit 3\nprintf '{MARK} answer %s\\n' \
             \"$({program} {command} --json --cluster {cluster} 2>/dev/null </dev/null)\"\n",
            self.prelude()
        )
    }

    /// A script that ends the cluster and removes the folder. The cluster ends by itself without its lease; `stop`
    /// makes sure.
    pub fn stop(&self) -> String {
        let nap = "sleep 0.1 2>/dev/null || sleep 1";
        let wait = match (&self.record.run_id, &self.record.program) {
            (Some(_), Some(program)) => format!(
                "if there; then {} stop --cluster {} </dev/null >\"$d/stop.log\" 2>&1; fi\n\
                 n=0; while there && [ $n -lt 100 ]; do {nap}; n=$((n+1)); done\n\
                 if there; then printf '{MARK} left %s\\n' \"$(tail -n 1 \"$d/stop.log\")\"; exit 0; fi\n",
                quote(program),
                quote(&self.record.cluster)
            ),
            _ => format!(
                "n=0; while [ -e \"$d/begun\" ] && [ ! -e \"$d/status\" ] && [ $n -lt 300 ]; do {nap}; n=$((n+1)); done\n"
            ),
        };
        format!(
            "{}if [ -e \"$d/lease\" ]; then printf '{MARK} was \\n'; fi\nrm -f \"$d/lease\"\n{wait}rm -rf \"$d\"\n\
             printf '{MARK} ended \\n'\n",
            self.prelude()
        )
    }

    /// Whether there was something to end. `output` is that of [`There::stop`]. Fails if the cluster did not end.
    pub fn stopped(&self, output: RunOutput) -> Result<bool, Failure> {
        let told = self.text(output)?;
        if answer(&told, "ended").is_some() {
            return Ok(answer(&told, "was").is_some());
        }
        let why = answer(&told, "left").unwrap_or("its shell did not say why");
        Err(Failure::new(
            Exit::Failure,
            format!("cluster {:?} on {} did not end: {why}", self.record.cluster, self.record.host),
        ))
    }

    /// Ends the cluster, for a command that has not started it. Returns whether there was something to end.
    pub fn destroy(&self) -> Result<bool, Failure> {
        let mut remote = connect(&self.record.host, &self.record.ssh, &mut *of_terminal(self.record.ssh.ask))?;
        let output = remote.run(SHELL, self.stop().as_bytes(), Instant::now() + STOP_PATIENCE)?;
        self.stopped(output)
    }

    /// The beginning of every script: `d` is the folder, and `there` succeeds while the record of the run exists.
    fn prelude(&self) -> String {
        let record = format!("\"$root\"/clusters/{}/cluster.json", quote(&self.record.cluster));
        let run_id = quote(self.record.run_id.as_deref().unwrap_or("no run yet"));
        format!(
            "umask 077\nroot=${{IPCLUSTERZ_HOME:-${{XDG_STATE_HOME:-$HOME/.local/state}}/ipclusterz}}\n\
             d=\"$root\"/remote/{}\nthere() {{ grep -q {run_id} {record} 2>/dev/null; }}\n",
            quote(&self.record.folder)
        )
    }

    fn text(&self, output: RunOutput) -> Result<String, Failure> {
        Ok(output.text(&self.record.host, "a shell script")?)
    }
}

/// The lines of a script that touch the lease if it exists, and note through which connection.
fn touch() -> String {
    format!("if [ -e \"$d/lease\" ]; then touch \"$d/lease\"\n{}fi\n", sitting::note("\"$d\""))
}
