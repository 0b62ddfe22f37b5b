//! A start on another host, seen from this side: what it says, and the tunnel when it has succeeded.

use super::clusters;
use super::opened::{Opened, first_that_answers};
use super::supervise::{Cluster, Connection, interrupted};
use crate::clusters::taken_over;
use crate::report::StartReport;
use crate::report::progress::{Progress, SetProgress, SetState};
use crate::requests::{Reply, Request};
use crate::supervisor::events::{self, Event};
use crate::supervisor::run::OnReady;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::Signal;
use ipclusterz_host::stderr::print_line;
use ipclusterz_launchers::cluster::handle::Phase;
use ipclusterz_ssh::Remote;
use ipclusterz_ssh::remembering::Remembering;
use ipclusterz_ssh::tunnel::{Tunnel, Way};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the progress of the start is fetched.
const START_INTERVAL: Duration = Duration::from_millis(200);
/// How often a silent start is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a start may be silent beyond its own deadline. A start that waits prints something every few seconds.
const SILENCE: Duration = Duration::from_secs(60);

impl Cluster<'_> {
    /// Waits until the start there is over. Returns the name of the signal that ended the wait, if one did. Fails if
    /// the start is silent for too long.
    pub(super) fn wait_for_start(&mut self) -> Result<Option<&'static str>, Failure> {
        let (mut offset, mut heard, mut quiet) = (0, Instant::now(), false);
        let mut next_progress = heard + PROGRESS_INTERVAL;
        let patience = self.plan.settings.timeout + SILENCE;
        let begun = heard;
        let mut said = None;
        loop {
            match self.receiver.recv_timeout(START_INTERVAL) {
                Ok(Event::Signal(signal)) => match signal {
                    Signal::ChildEnded => {}
                    Signal::ParentChanged if !self.parent_is_gone() => {}
                    signal => return Ok(Some(signal.name())),
                },
                Ok(Event::TakenOver) => return Err(taken_over(&self.plan.settings.cluster)),
                Ok(Event::Request(request, answer)) => {
                    let reply = match request {
                        Request::Progress => Ok(Reply::Progress(self.progress_of_start(begun, said.clone()))),
                        Request::Scale(_) | Request::Restart(_) => {
                            Err(Failure::new(Exit::Usage, "the cluster is still starting")
                                .with_hint("`ipclusterz wait` first"))
                        }
                    };
                    // The command that asked may have exited.
                    let _ = answer.send(reply);
                }
                Ok(_) | Err(_) => {}
            }
            let Some(Connection::Direct(remote)) = &mut self.connection else { return Ok(None) };
            let progress = self.there.progress(&mut **remote, offset)?;
            offset = progress.offset;
            for line in progress.lines {
                heard = Instant::now();
                next_progress = heard + PROGRESS_INTERVAL;
                // An error and what follows it are also in the report of the start.
                quiet |= line.starts_with("error: ");
                if !quiet {
                    self.talk.say(format!("{}: {line}", self.there.record.host));
                    said = Some((line, heard));
                }
            }
            if progress.status.is_some() {
                return Ok(None);
            }
            let host = &self.there.record.host;
            if heard.elapsed() >= patience {
                let message = format!("the start on {host} has said nothing for {:.0} s", patience.as_secs_f64());
                return Err(Failure::new(Exit::Timeout, message).with_hint(format!("is {host} overloaded?")));
            }
            if Instant::now() >= next_progress {
                self.talk.say(format!("waiting for {host} to start cluster {:?}", self.there.record.cluster));
                next_progress = Instant::now() + PROGRESS_INTERVAL;
            }
        }
    }

    /// What is known about the engines before the start there is over: the last line that it printed.
    fn progress_of_start(&self, begun: Instant, said: Option<(String, Instant)>) -> Progress {
        let wanted = self.plan.handle.engines_wanted;
        let (said, said_at) = said.unzip();
        let set = SetProgress {
            name: format!("cluster {:?} on {}", self.there.record.cluster, self.there.record.host),
            set: self.all_engines(),
            ready: 0,
            lost: Vec::new(),
            suspended: Vec::new(),
            state: SetState::Waiting,
            seconds: begun.elapsed().as_secs_f64(),
            said,
            said_seconds_ago: said_at.map(|at| at.elapsed().as_secs_f64()),
        };
        Progress { wanted, sets: vec![set], ..Progress::default() }
    }

    /// Accepts requests of other commands.
    pub(super) fn listen(&self) -> Result<(), Failure> {
        let sockets = &self.plan.handle.socket_dir;
        if let Some(base) = sockets.parent() {
            places::make_private_dir(base)?;
        }
        places::make_private_dir(sockets)?;
        events::watch_requests(sockets, self.sender.clone())
            .map_err(Failure::io("listening for requests of other commands"))
    }

    /// Fetches the report, and makes the tunnel and the connection file for it.
    pub(super) fn connect_here(&mut self, folder: &str, asker: Remembering) -> Result<StartReport, Failure> {
        let Some(Connection::Direct(mut remote)) = self.connection.take() else {
            return Err(interrupted("it was connected"));
        };
        let opened = self.open(&mut *remote, folder);
        let (mut report, opened, client_file) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                self.connection = Some(Connection::Direct(remote));
                return Err(failure);
            }
        };
        let Opened { forward, listener, to } = opened;
        report.addresses = vec![listener.endpoint().to_address()];
        let way = Way {
            host: self.there.record.host.clone(),
            table: (*self.there.record.ssh).clone(),
            asker: asker.without_asking(),
            given_up: Arc::clone(&self.given_up),
        };
        let tunnel = Tunnel::keep(remote, forward, listener, to, way, Box::new(print_line))?;
        self.connection = Some(Connection::Tunnel(tunnel));
        report.client_file = client_file;
        // The host may have found out itself how many it has room for.
        self.plan.handle.engines_wanted = u32::try_from(report.engines.len()).unwrap_or(u32::MAX);
        report.launcher_pid = self.plan.handle.launcher.pid;
        report.run_id.clone_from(&self.plan.handle.run_id);
        report.log_directory = self.plan.folder.logs().path().to_path_buf();
        report.seconds = self.plan.started.elapsed().as_secs_f64();
        Ok(report)
    }

    fn open(&mut self, remote: &mut dyn Remote, folder: &str) -> Result<(StartReport, Opened, PathBuf), Failure> {
        let report = self.there.report(remote, folder).map_err(|failure| self.prefix_host(failure))?;
        self.there.record.run_id = Some(report.run_id.clone());
        self.write_handle()?;
        let found = clusters::find(remote, Some(&self.there.record.cluster))?;
        let socket = places::socket_path(&self.plan.handle.socket_dir);
        let (opened, file) = first_that_answers(remote, &found, &socket)?;
        let path = self.plan.folder.client_file();
        file.write(&path)?;
        Ok((report, opened, path))
    }

    pub(super) fn ready(&mut self, report: &StartReport, on_ready: OnReady<'_>) -> Result<(), Failure> {
        let again = self.plan.settings.tables.controller.restart;
        events::watch_engines(self.plan.folder.client_file(), again, self.sender.clone())
            .map_err(Failure::io("starting the thread for the controller's notifications"))?;
        self.plan.handle.phase = Phase::Running;
        self.write_handle()?;
        on_ready(report, self.talk)?;
        if let Some(program) = &mut self.plan.program {
            program.start(report)?;
        }
        Ok(())
    }
}
