//! The shell that puts this program on a disk of a host and has it do the rest, and what stands before the command of engines
//! in jobs. Pure.

use super::order::{JobOrder, Secret};
use std::path::Path;

/// Lines of shell that set `copy` to the program, beside the Python in `python`, on a disk of this host. The program is read
/// from where it is once: one process copies it, others wait half a minute for that. They call `problem` with what keeps
/// them from it, which ends the shell.
pub const COPY_PROGRAM: &str = r#"program=${python%/*}/ipclusterz
stage=${IPCLUSTERZ_STAGE_DIR:-${TMPDIR:-/tmp}/ipclusterz-stage-$(id -u)}
umask 077
mkdir -p "$stage" 2>/dev/null
[ -d "$stage" ] && [ ! -L "$stage" ] && [ -O "$stage" ] || problem "$stage is not a folder of yours on this host"
[ -x "$program" ] || problem "there is no $program, which is installed with the package ipclusterz"
copy=$stage/program-$(stat -L -c %s-%Y "$program")
if [ ! -x "$copy" ]; then
  tries=0
  until mkdir "$copy.lock" 2>/dev/null || [ -x "$copy" ] || [ "$tries" -ge 300 ]; do tries=$((tries + 1)); sleep 0.1; done
  if [ ! -x "$copy" ]; then
    find "$stage" -maxdepth 1 -name 'program-*' -type f -mtime +30 -exec rm -f {} +
    cp "$program" "$copy.$$" && mv -f "$copy.$$" "$copy" || problem "$program cannot be copied to $stage"
  fi
  rmdir "$copy.lock" 2>/dev/null
fi
"$copy" --version >/dev/null 2>&1 || problem "$stage is where no program can be run"
"#;

/// What a shell before engines does in a job: its arguments are the Python, the file with the order, and the command.
fn in_job() -> String {
    format!(
        "problem() {{ echo \"ipclusterz: engines.stage on $(uname -n): $1\" >&2; exit 1; }}\n\
         python=$1 order=$2; shift 2; mask=$(umask)\n{COPY_PROGRAM}umask \"$mask\"\n\
         exec \"$copy\" stage --in-job \"$order\" -- \"$@\""
    )
}

/// The words before the command of engines in a job, which run it from a disk of their host.
pub fn before_engines(python: &Path, order: &Path) -> Vec<String> {
    let paths = [python, order].map(|path| path.to_string_lossy().into_owned());
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), in_job(), "ipclusterz-stage".to_owned()];
    shell.into_iter().chain(paths).collect()
}

/// The order for hosts of jobs, which stands in a file of the cluster's folder.
pub fn order_of_jobs(python: &Path, archive: Option<&str>, secret: Secret, watched: &Path, meeting: &Path) -> JobOrder {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    JobOrder {
        python: text(python),
        archive: archive.map(str::to_owned),
        secret,
        watched: text(watched),
        meeting: text(meeting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn the_program_gets_the_order_and_the_command() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = folder.path().join("ipclusterz");
        std::fs::write(&program, "#!/bin/sh\nprintf '%s|' \"$@\"; umask\n").expect("write");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
        let words = before_engines(&folder.path().join("python"), Path::new("/it's/order"));
        let run = |stage: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "umask 022; exec \"$@\"", "sh"]).args(&words).args(["python", "-m", "a b"]);
            command.env("IPCLUSTERZ_STAGE_DIR", stage).output().expect("sh")
        };
        let output = run(&folder.path().join("kept"));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(text, "stage|--in-job|/it's/order|--|python|-m|a b|0022\n");
        let output = run(Path::new("/proc/nope"));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!output.status.success() && said.contains("/proc/nope is not a folder of yours"), "{said}");
    }
}
