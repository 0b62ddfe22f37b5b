//! What is decided on this host before a start on another host: the merged profile as a file, and the rest.

use crate::arguments::JournalChoice;
use crate::supervisor::program::Program;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::alive::Hold;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{StartSettings, merged_profile};
use ipclusterz_profile::{Options, Places, Profile};
use std::path::PathBuf;
use std::time::Instant;

/// Everything that is decided before the host is contacted.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// The profile for the start there.
    pub profile: String,
    /// The folder of the record on this host; it is locked.
    pub folder: ClusterFolder,
    /// The record.
    pub handle: ClusterHandle,
    /// By what it knows that the cluster is still its own.
    pub hold: Hold,
    /// This binary.
    pub binary: PathBuf,
    /// The program that the cluster is started for, if any. The cluster ends when the program exits.
    pub program: Option<Program>,
    /// What is to be done with a journal there.
    pub journal: JournalChoice,
    /// The pid of the process that this one must not outlive, if any.
    pub parent: Option<u32>,
    /// When the command was given.
    pub started: Instant,
}

/// Merges all layers of the profile, as text for a start on the host itself.
pub fn profile_for(options: &Options, variables: &Variables, places: &Places) -> Result<String, Failure> {
    profile_of_host(merged_profile(options, variables, places)?)
}

/// The text of a merged profile for that host, on which the cluster is a local one.
pub fn profile_of_host(mut merged: Profile) -> Result<String, Failure> {
    merged.derive("ssh.controller", "".into(), "the host itself".to_owned())?;
    Ok(ipclusterz_profile::write(&merged.entries, false))
}
