//! The profiles that are compiled in.

/// The name of the embedded profile that every other one extends.
pub const DEFAULT_NAME: &str = "default";

/// The complete profile that every other one extends.
const DEFAULT_PROFILE: &str = include_str!("../../../profiles/default.toml");

/// The name and the text of each, in the order of `profile list`.
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

/// The name and the text of the shipped profile `name`. The returned name lives as long as the program.
pub fn find(name: &str) -> Option<(&'static str, &'static str)> {
    PROFILES.iter().find(|(known, _)| *known == name).copied()
}

/// The text of the shipped profile `name`.
pub fn text(name: &str) -> Option<&'static str> {
    find(name).map(|(_, text)| text)
}

/// The names of all shipped profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}
