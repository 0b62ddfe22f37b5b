//! `ipclusterz engine`: engines by hand. This process becomes them, or their parent.

use crate::arguments::EngineArguments;
use crate::clusters::no_such_cluster;
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::python;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::engine_words::PROGRAM;
use ipclusterz_profile::environment::{PYTHON, Variables};
use ipclusterz_profile::settings::{SAFE_PATH, SAFE_PATH_OF_ENGINES, cluster_name};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Runs the engine's program in place of this one; returns only if that is not possible.
pub fn run(arguments: &EngineArguments, variables: &Variables) -> Result<(), Failure> {
    let file = engine_file(arguments, variables)?;
    ConnectionFile::read(&file)?;
    let wanted = arguments.python.as_deref().or_else(|| variables.get(PYTHON));
    let own = std::env::current_exe().map_err(Failure::io("looking for this program's path"))?;
    let python = python::find(wanted, &own, std::env::var_os("PATH").as_deref())?;
    let mut command = Command::new(&python);
    command.args(PROGRAM).arg("--connection-file").arg(file);
    if arguments.engines > 1 {
        command.args(["--engines", &arguments.engines.to_string(), "--fork"]);
    }
    command.args(&arguments.options);
    if std::env::var_os(SAFE_PATH).is_none() {
        command.env(SAFE_PATH, SAFE_PATH_OF_ENGINES);
    }
    Err(Failure::io(format!("running {}", python.display()))(command.exec()))
}

/// The file that was named, or that of the cluster.
fn engine_file(arguments: &EngineArguments, variables: &Variables) -> Result<PathBuf, Failure> {
    if let Some(file) = &arguments.file {
        if arguments.common.cluster.is_some() {
            return Err(Failure::new(Exit::Usage, "--file and the name of a cluster exclude each other")
                .with_hint("the file says which cluster it is"));
        }
        return Ok(file.clone());
    }
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let file = ClusterFolder::of(&cluster)?.engine_file();
    if file.exists() { Ok(file) } else { Err(no_such_cluster(&cluster)) }
}
