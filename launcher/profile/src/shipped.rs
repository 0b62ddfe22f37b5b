//! The profiles that are compiled in.

/// The name of the embedded profile that every other one extends.
pub const DEFAULT_NAME: &str = "default";

/// The complete profile that every other one extends.
const DEFAULT_PROFILE: &str = include_str!("../../../profiles/default.toml");

/// Name and text of each, in the order of `profile list`.
const PROFILES: [(&str, &str); 11] = [
    (DEFAULT_NAME, DEFAULT_PROFILE),
    ("local", include_str!("../../../profiles/local.toml")),
    ("ssh", include_str!("../../../profiles/ssh.toml")),
    ("mpiexec", include_str!("../../../profiles/mpiexec.toml")),
    ("slurm", include_str!("../../../profiles/slurm.toml")),
    ("slurm-mpi", include_str!("../../../profiles/slurm-mpi.toml")),
    ("slurm-gpu", include_str!("../../../profiles/slurm-gpu.toml")),
    ("pbs", include_str!("../../../profiles/pbs.toml")),
    ("lsf", include_str!("../../../profiles/lsf.toml")),
    ("sge", include_str!("../../../profiles/sge.toml")),
    ("htcondor", include_str!("../../../profiles/htcondor.toml")),
];

/// The text of one, and its name for as long as the program runs.
pub fn find(name: &str) -> Option<(&'static str, &'static str)> {
    PROFILES.iter().find(|(known, _)| *known == name).copied()
}

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    find(name).map(|(_, text)| text)
}

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}
