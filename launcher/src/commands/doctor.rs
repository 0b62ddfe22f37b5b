//! `ipclusterz doctor`: checks everything that a start with a profile needs, without starting anything.

use crate::arguments::DoctorArguments;
use crate::doctor::outside::Question;
use crate::doctor::real::Real;
use crate::doctor::{elsewhere, environment, folders, hosts, mpi, queue, room, shared, versions};
use crate::output::Output;
use crate::report::CheckReport;
use crate::report::finding::{Finding, all_well};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::python;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{check_profile, merged_profile};
use ipclusterz_profile::tables::engines::LauncherKind;
use ipclusterz_profile::{Options, Places, Profile};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Runs all checks and prints the findings. Returns [`Exit::Failure`] if a check failed.
pub fn run(arguments: &DoctorArguments, variables: &Variables, output: &mut Output) -> Result<Exit, Failure> {
    let program = std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))?;
    let search_path = std::env::var_os("PATH");
    let search_path = search_path.as_deref();

    let (profile, finding) = profile(arguments, variables)?;
    let mut findings = environment::check(variables);
    findings.push(finding);
    findings.extend(versions::program(&program));
    if profile.tables.ssh.controller.is_empty() {
        if profile.tables.engines.launcher != LauncherKind::Ssh {
            findings.push(versions::python(&profile.tables.engines.python, &program, search_path));
        }
        findings.extend(of_host(&profile));
        findings.extend(of_launcher(&profile, &program, search_path));
    } else {
        // This host has only the tunnel's socket and the record. Everything else is checked on the host where it runs.
        findings.extend(folders::sockets());
        findings.extend(folders::state());
        let outside = Real::new(&profile, PathBuf::new());
        let families = ["profile", "python", "hosts", "scheduler", "MPI"];
        findings.extend(elsewhere::check(&profile.tables.ssh, Question::Doctor, &families, &outside));
    }

    let report = CheckReport::new(profile.name, findings);
    output.report(&report)?;
    Ok(if report.ok { Exit::Ok } else { Exit::Failure })
}

/// The profile, and the finding about it. If it cannot be read, the default profile stands in for it, so that
/// everything else can still be checked.
fn profile(arguments: &DoctorArguments, variables: &Variables) -> Result<(Profile, Finding), Failure> {
    const CHECK: &str = "profile";
    let options = Options { profile: arguments.profile.clone(), set: arguments.set.clone(), ..Options::default() };
    let merged = Places::of_this_process(variables).and_then(|places| merged_profile(&options, variables, &places));
    Ok(match merged {
        Ok(profile) => {
            let finding = match check_profile(&profile) {
                Ok(()) => Finding::ok(CHECK, profile.summary()),
                Err(error) => Finding::of_failure(CHECK, error.into()),
            };
            (profile, finding)
        }
        Err(error) => {
            let default = merged_profile(&Options::default(), &Variables::default(), &Places::default())?;
            (default, Finding::of_failure(CHECK, error.into()))
        }
    })
}

/// Checks what any cluster needs on this host.
fn of_host(profile: &Profile) -> Vec<Finding> {
    let engines = &profile.tables.engines;
    let mut findings = Vec::new();
    if engines.launcher == LauncherKind::Local {
        findings.push(room::engines(engines.count));
    }
    findings.push(room::files(engines.count));
    findings.push(room::shared_memory(Path::new("/dev/shm")));
    findings.extend(folders::sockets());
    findings.extend(folders::state());
    findings
}

/// Checks what the profile's launcher needs. MPI is always checked, because users have it for other purposes too.
fn of_launcher(profile: &Profile, program: &Path, search_path: Option<&OsStr>) -> Vec<Finding> {
    let tables = &profile.tables;
    let launcher = tables.engines.launcher;
    // A missing Python has been reported already. The trial of MPI fails without it, and says so.
    let wanted = Some(tables.engines.python.as_str()).filter(|python| !python.is_empty());
    let python = python::find(wanted, program, search_path).unwrap_or_else(|_| PathBuf::from("python3"));
    let outside = Real::new(profile, python.clone());

    let mut findings = hosts::reach(&tables.ssh, &outside);
    if launcher == LauncherKind::Ssh {
        findings.extend(if all_well(&findings) {
            hosts::pythons(profile, &python, &outside)
        } else {
            vec![Finding::skipped("python", "not tried: a host was not reached")]
        });
    }
    if findings.is_empty() {
        findings.push(Finding::skipped("hosts", "the profile names no hosts in [ssh]"));
    }
    if tables.queue.name.is_empty() {
        findings.push(Finding::skipped("scheduler", "the profile describes no queue"));
    } else {
        findings.extend(queue::check(&tables.queue, search_path, &outside));
        if launcher == LauncherKind::Batch {
            findings.push(shared::check(&tables.queue.name));
        }
    }
    findings.push(if launcher == LauncherKind::Batch && tables.batch.check_world {
        mpi::check_in_job(profile, &python, &outside)
    } else {
        mpi::check(tables, launcher == LauncherKind::Mpiexec, &python, search_path)
    });
    findings
}
