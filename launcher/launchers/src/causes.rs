//! Why engines do not start, or have died, and what to do about it: one table of causes.
//!
//! A cause is recognized by what was said: in a log, by a queue's command, or of how a process ended. What a queue says
//! stands in its profile (`queue.causes`), under the name of the cause here. Pure.
//!
//! `docs/clusters/trouble.md` has a row for each cause.

use ipclusterz_host::failure::Failure;
use ipclusterz_host::hints;
use regex::RegexBuilder;
use std::path::Path;

/// A cause, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its name, by which a profile gives the queue's own words for it.
    pub name: &'static str,
    /// Found in what is said of it, whichever queue there is. Empty: only a queue says it.
    pub signs: &'static str,
    /// What happened to an engine, for a person. Empty where what was said is enough.
    pub words: &'static str,
    /// What to do; `{python}` is the engines' Python.
    hint: &'static str,
}

impl Cause {
    /// What to do about it.
    pub fn hint(&self, python: &Path) -> String {
        match self.name {
            PACKAGE => hints::package_for(python),
            PYTHON => format!("does `{} -m ipclusterz.engine --help` work? else {}", python.display(), hints::PYTHON),
            _ => self.hint.replace("{python}", &python.display().to_string()),
        }
    }

    /// Whether a text says that it was this.
    fn is_in(&self, text: &str) -> bool {
        let pattern = RegexBuilder::new(self.signs).multi_line(true).ignore_whitespace(true).build();
        !self.signs.is_empty() && pattern.is_ok_and(|pattern| pattern.is_match(text))
    }
}

/// The engines' Python lacks the package.
pub const PACKAGE: &str = "package";
/// The engines' Python does not work.
pub const PYTHON: &str = "python";
/// A job's engines were ended because memory ran out.
pub const OUT_OF_MEMORY: &str = "out_of_memory";
/// Somebody cancelled a job.
pub const CANCELLED: &str = "cancelled";
/// Hosts lack the cluster's folder.
pub const FOLDER: &str = "folder";
/// The queue's server does not answer.
pub const QUEUE_DOWN: &str = "queue_down";
/// The queue does not take a job.
pub const QUEUE_REFUSES: &str = "queue_refuses";

/// All causes. Of several that were said, the first counts: what is further down may follow from it.
pub const CAUSES: [Cause; 20] = [
    Cause { name: PACKAGE, signs: r"No\ module\ named\ '?ipclusterz\b", words: "", hint: "" },
    Cause {
        name: "pmix",
        signs: r"can\ not\ load\ PMIx\ library",
        words: "",
        hint: "Slurm looks for libpmix.so, which is in Debian's libpmix-dev: it has to be on the nodes before slurmd starts",
    },
    Cause {
        name: "root",
        signs: r"attempt\ to\ run\ as\ root|does\ not\ run\ as\ root",
        words: "",
        hint: "run as another user, or set mpiexec.allow_root = true in a profile",
    },
    Cause {
        name: "slots",
        signs: r"not\ enough\ slots\ available|fewer\ than\ \S+\ slots",
        words: "",
        hint: "fewer engines, more hosts or slots in [mpiexec] of the profile, or mpiexec.oversubscribe = true",
    },
    Cause {
        name: "processes",
        signs: r"Resource\ temporarily\ unavailable|can't\ start\ new\ thread|[Nn]o\ more\ processes",
        words: "",
        hint: "no process or thread may be added there: raise `ulimit -u`, or pids.max of the control group; `ps -u $USER -L | wc -l` \
               counts yours; or start fewer engines",
    },
    Cause {
        name: "files",
        signs: r"Too\ many\ open\ files",
        words: "",
        hint: "raise `ulimit -n` there, in engines.setup for one",
    },
    Cause {
        name: "disk",
        signs: r"No\ space\ left\ on\ device|Disk\ quota\ exceeded",
        words: "",
        hint: "free some room there (`df`, `quota`), or set IPCLUSTERZ_HOME to a folder elsewhere",
    },
    Cause {
        name: OUT_OF_MEMORY,
        signs: r"\b(out\ of\ memory|Out\ of\ memory|Out\ Of\ Memory|MemoryError|oom[-_]kill|OOM\ Killed|Cannot\ allocate\ memory)\b",
        words: "it ran out of memory",
        hint: "more memory (engines.memory, in jobs batch.memory of the profile), or fewer engines on a host (in jobs \
               batch.engines_per_node)",
    },
    Cause {
        name: FOLDER,
        signs: r"there\ is\ no\ connection\ file|slurmstepd.*(could\ not\ open|couldn't\ chdir)",
        words: "its node could not write into the cluster's folder",
        hint: "the folder of the cluster has to be on a file system that all hosts of the engines have: set IPCLUSTERZ_HOME to one",
    },
    Cause {
        name: "unreachable",
        signs: r"(could\ not\ register|not\ registered\ yet):\ .*
            (timed\ out|refused|no\ route|name\ is\ unknown|looked\ up|own\ host\ only|broke|was\ closed|no\ answer|nobody\ answers)",
        words: "",
        hint: "the engines' hosts have to reach the controller: an address that they know (controller.advertise), a port that the \
               firewall lets through (controller.listen = \"0.0.0.0:PORT\"), or ssh.reverse = true for launcher \"ssh\"",
    },
    Cause {
        name: "program",
        signs: r"command\ not\ found|:\ not\ found$|execve?(vp)?(\(\))?:?\ .*No\ such\ file|cannot\ execute|Exec\ format\ error
            |^cannot\ run\ |[Pp]ython[\d.]*:\ No\ such\ file|Permission\ denied$",
        words: "",
        hint: "it has to be on the engines' hosts, under the same path, and runnable there: engines.python ({python} here), \
               engines.wrap, and what engines.setup loads",
    },
    Cause {
        name: "system",
        signs: r"GLIBC\S*\ not\ found|cannot\ open\ shared\ object\ file",
        words: "",
        hint: "that Python was made for another system than the engines' hosts have: name one with --python or engines.python, \
               or load what it needs in engines.setup",
    },
    Cause {
        name: "time_limit",
        signs: r"DUE\ TO\ TIME\ LIMIT",
        words: "its job reached its time limit",
        hint: "ask for more with batch.time_limit, or have another job follow: batch.renew = true",
    },
    Cause {
        name: "node_failure",
        signs: r"Node\ failure\ on|DUE\ TO\ NODE\ FAILURE",
        words: "its node failed",
        hint: "start again: the queue takes other nodes; engines.restart = true does so by itself",
    },
    Cause {
        name: "preempted",
        signs: r"DUE\ TO\ PREEMPTION",
        words: "its job had to make room for another one",
        hint: "another batch.partition or batch.qos is not put off; engines.restart = true submits such a job again",
    },
    Cause {
        name: CANCELLED,
        signs: "",
        words: "its job was cancelled",
        hint: "somebody cancelled it who may: you in another shell, or an administrator of the queue; start again",
    },
    Cause { name: QUEUE_DOWN, signs: "", words: "", hint: hints::QUEUE_SERVER },
    Cause { name: QUEUE_REFUSES, signs: "", words: "", hint: hints::QUEUE_REFUSES },
    Cause {
        name: "killed",
        signs: r"signal:\ 9\ \(SIGKILL\)",
        words: "",
        hint: "nobody says who killed it: memory may have run out (`dmesg` there), or a limit of the site's may have been reached",
    },
    Cause { name: PYTHON, signs: "", words: "", hint: "" },
];

/// The cause with this name.
pub fn named(name: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|cause| cause.name == name)
}

/// A failure that says what to do: the hint of its cause, unless it has one of its own.
pub fn advised(failure: Failure, python: &Path) -> Failure {
    match in_text(&failure.message).filter(|_| failure.hint.is_none()) {
        Some(cause) => failure.with_hint(cause.hint(python)),
        None => failure,
    }
}

/// The cause that a text speaks of.
pub fn in_text(text: &str) -> Option<&'static Cause> {
    CAUSES.iter().find(|cause| cause.is_in(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first column of the table of errors.
    fn rows() -> Vec<&'static str> {
        let page = include_str!("../../../docs/clusters/trouble.md");
        let errors = page.split("\n## Errors\n").nth(1).expect("the section");
        errors.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
    }

    #[test]
    fn each_cause_has_its_row_in_the_page_about_trouble() {
        for cause in CAUSES.iter().filter(|cause| !cause.signs.is_empty()) {
            let found = rows().into_iter().any(|row| in_text(row).is_some_and(|of_row| of_row.name == cause.name));
            assert!(found, "no row of docs/clusters/trouble.md is about {:?}", cause.name);
        }
    }

    #[test]
    fn names_are_those_of_one_cause_each() {
        let names: std::collections::BTreeSet<&str> = CAUSES.iter().map(|cause| cause.name).collect();
        assert_eq!(names.len(), CAUSES.len());
        assert!(CAUSES.iter().all(|cause| !cause.hint(Path::new("/py")).is_empty()), "each has a hint");
    }

    #[test]
    fn causes_are_recognized_by_what_is_said_of_them() {
        let known = [
            ("/opt/py: No module named ipclusterz", "package"),
            ("slurmstepd: error: mpi/pmix_v4: init: can not load PMIx library", "pmix"),
            ("bash: fork: retry: Resource temporarily unavailable", "processes"),
            ("RuntimeError: can't start new thread", "processes"),
            ("There are not enough slots available in the system to satisfy the 9", "slots"),
            ("error: there is no connection file /home/me/engine.json", "folder"),
            (
                "error: this engine could not register: could not register: tcp://10.0.0.7:7: timed out: the host is down",
                "unreachable",
            ),
            ("this engine is not registered yet: tcp://n1:7: connection refused: nobody listens there", "unreachable"),
            ("/bin/sh: 1: conda: not found", "program"),
            ("slurmstepd: error: execve(): /opt/py/bin/python3: No such file or directory", "program"),
            ("python3: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by python3)", "system"),
            ("OSError: [Errno 28] No space left on device", "disk"),
            ("signal: 9 (SIGKILL)", "killed"),
        ];
        for (said, name) in known {
            assert_eq!(in_text(said).map(|cause| cause.name), Some(name), "{said}");
        }
        for said in ["loading", "  ImportError: site is broken", "signal: 15 (SIGTERM)"] {
            assert_eq!(in_text(said), None, "{said}");
        }
    }
}
