//! Finds a user's clusters on another host, and what a client needs to connect to one.
//!
//! Needs only a shell there, because `ipclusterz` may be in an environment that is not on the PATH of a login.

use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::shell::{quote, sh};
use ipclusterz_host::suggestion::nearest;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_ssh::{Endpoint, Remote, SshError};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Finds the folder of all clusters by the rule of [`places::state_root`].
const LIST: &str = r#"
root=${IPCLUSTERZ_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/ipclusterz}
printf 'host %s\nroot %s\n' "$(uname -n)" "$root"
printf 'boot %s\n' "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
for file in "$root"/clusters/*/client.json; do
    if [ -e "$file" ]; then folder=${file%/client.json}; printf 'cluster %s\n' "${folder##*/}"; fi
done
"#;

/// The program, and its input, that tells whether a run of a cluster, whose connection file was there, has ended: the
/// file is gone or another run's, while the folder of all clusters is there.
pub fn ended_question(cluster: &RemoteCluster) -> (&'static str, String) {
    let (file, run) = (quote(&cluster.path), quote(&cluster.client.run_id));
    let text = format!(
        "file={file}; run={run}\n\
         [ -d \"${{file%/*/*}}\" ] || exit 0\n\
         if [ ! -e \"$file\" ] || ! grep -q -F \"\\\"$run\\\"\" \"$file\"; then echo {ENDED}; fi\n"
    );
    ("exec sh", text)
}

/// The answer to [`ended_question`] about one that has.
pub const ENDED: &str = "ipclusterz-ended";

/// A cluster and how its controller is reached from the host that was asked.
#[derive(Debug, Clone)]
pub struct RemoteCluster {
    /// Its connection file for clients, as it is there.
    pub client: ConnectionFile,
    /// Where its controller listens, best first: its unix socket when it runs on that host, then its TCP addresses.
    pub ends: Vec<Endpoint>,
    /// The path of its connection file there.
    pub path: String,
}

/// What a host reported about its clusters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listing {
    host: String,
    root: String,
    boot: String,
    clusters: Vec<String>,
}

/// Finds the cluster `name`; without a name the default cluster, or the only one. Fails if it is gone or unreachable.
pub fn find(remote: &mut dyn Remote, name: Option<&str>) -> Result<RemoteCluster, Failure> {
    if let Some(name) = name {
        places::check_name(name)?;
    }
    let shown = remote.host().to_owned();
    let told = remote.run(&sh(LIST), b"", Instant::now() + PATIENCE)?.text(&shown, "listing clusters")?;
    let listing = parse(&told);
    let name = choose(name, &listing, &shown)?;
    let folder = format!("{}/clusters/{name}", listing.root);
    let record = match remote.download(&format!("{folder}/cluster.json")) {
        Err(SshError::Missing { .. }) => None,
        other => Some(other?),
    };
    let record = record.map(|text| ClusterHandle::parse(&text, Path::new(&format!("{shown}:{folder}/cluster.json"))));
    if let Some(handle) = record.transpose()? {
        check_alive(remote, &handle, &listing)?;
    }
    let path = format!("{folder}/client.json");
    let text = remote.download(&path)?;
    let text = String::from_utf8_lossy(&text);
    let client = ConnectionFile::parse(&text, Path::new(&format!("{shown}:{path}")))?;
    let ends = ends(&client, &listing.host);
    if ends.is_empty() {
        let message = format!(
            "cluster {name:?} cannot be reached through {shown}: its controller on {} listens on its own host only",
            client.host
        );
        return Err(Failure::new(Exit::Unreachable, message)
            .with_hint("make the tunnel to that host, or start the cluster with `--listen 0.0.0.0:0`"));
    }
    Ok(RemoteCluster { client, ends, path })
}

fn parse(told: &str) -> Listing {
    let mut listing = Listing::default();
    for line in told.lines() {
        // Any other line was printed by the login.
        match line.split_once(' ') {
            Some(("host", host)) => listing.host = host.to_owned(),
            Some(("root", root)) => listing.root = root.to_owned(),
            Some(("boot", boot)) => listing.boot = boot.to_owned(),
            Some(("cluster", cluster)) if places::check_name(cluster).is_ok() => {
                listing.clusters.push(cluster.to_owned());
            }
            _ => {}
        }
    }
    listing
}

fn choose(name: Option<&str>, listing: &Listing, shown: &str) -> Result<String, Failure> {
    let wanted = name.unwrap_or(places::DEFAULT_CLUSTER);
    let clusters = &listing.clusters;
    if clusters.iter().any(|cluster| cluster == wanted) {
        return Ok(wanted.to_owned());
    }
    match (name, &clusters[..]) {
        (_, []) => Err(Failure::new(
            Exit::NoCluster,
            format!("there is no cluster {wanted:?} on {shown}, nor any other: looked in {}/clusters", listing.root),
        )
        .with_hint(format!("start one there: ssh {shown} ipclusterz -n 4 --daemonize"))),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Failure::new(Exit::NoCluster, format!("more than one cluster runs on {shown}"))
            .with_hint(format!("name one with --cluster: {}", clusters.join(", ")))),
        (Some(name), _) => {
            let likely = nearest(name, clusters.iter().map(String::as_str));
            let likely = likely.map(|likely| format!("did you mean {likely:?}? ")).unwrap_or_default();
            Err(Failure::new(Exit::NoCluster, format!("there is no cluster {name:?} on {shown}"))
                .with_hint(format!("{likely}clusters there are: {}", clusters.join(", "))))
        }
    }
}

/// Fails if the cluster's launcher ran on the host that was asked, and is gone.
fn check_alive(remote: &mut dyn Remote, handle: &ClusterHandle, listing: &Listing) -> Result<(), Failure> {
    if handle.host != listing.host {
        return Ok(());
    }
    let alive = handle.boot_id == listing.boot && {
        let command = format!("cat /proc/{}/stat", handle.launcher.pid);
        let output = remote.run(&command, b"", Instant::now() + PATIENCE)?;
        ProcessIdentity::parse(handle.launcher.pid, &String::from_utf8_lossy(&output.stdout)) == Some(handle.launcher)
    };
    if alive {
        return Ok(());
    }
    let (cluster, host) = (&handle.cluster, remote.host());
    let message = format!("cluster {cluster:?} on {host} is stale: its launcher (pid {}) is gone", handle.launcher.pid);
    Err(Failure::new(Exit::NoCluster, message).with_hint(format!(
        "`ipclusterz stop --cluster {cluster}` there removes its remains; starting it again does so too"
    )))
}

/// The ends through which the host named `here` reaches the controller of `client`.
fn ends(client: &ConnectionFile, here: &str) -> Vec<Endpoint> {
    let mut ends: Vec<Endpoint> =
        client.addresses.iter().filter_map(|address| Endpoint::from_address(address)).collect();
    // A unix socket works on its own host only, and TCP only with keys.
    ends.retain(|end| match end {
        Endpoint::Unix(_) => client.host == here,
        Endpoint::Tcp { .. } => client.curve.is_some(),
    });
    ends.sort_by_key(|end| matches!(end, Endpoint::Tcp { .. }));
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        parse(
            "Welcome to n1!\nhost n1\nroot /home/me/.local/state/ipclusterz\nboot 7\ncluster lab\ncluster ../x\ncluster run-1\n",
        )
    }

    #[test]
    fn lines_that_are_not_ours_do_not_confuse() {
        let Listing { host, root, boot, clusters } = listing();
        assert_eq!((host.as_str(), root.as_str(), boot.as_str()), ("n1", "/home/me/.local/state/ipclusterz", "7"));
        assert_eq!(clusters, ["lab", "run-1"]);
    }

    #[test]
    fn which_cluster_is_meant() {
        let choose = |name| choose(name, &listing(), "me@n1").map_err(|failure| failure.to_text());
        assert_eq!(choose(Some("lab")), Ok("lab".to_owned()));
        let failure = choose(Some("lob")).expect_err("none of that name");
        assert!(failure.contains("\"lob\" on me@n1") && failure.contains("did you mean \"lab\"?"), "{failure}");
        assert!(choose(None).expect_err("two").contains("name one with --cluster: lab, run-1"));
        let one = Listing { clusters: vec!["lab".to_owned()], ..listing() };
        assert_eq!(super::choose(None, &one, "n1").ok(), Some("lab".to_owned()));
        let none = super::choose(None, &Listing::default(), "n1").expect_err("none");
        assert_eq!(none.exit(), Exit::NoCluster);
    }

    #[test]
    fn a_run_has_ended_when_its_file_is_gone_or_another_ones() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("clusters/it's");
        std::fs::create_dir_all(&folder).expect("create");
        let path = folder.join("client.json");
        let text = r#"{"version": 1, "role": "client", "cluster": "a", "run_id": "1f", "host": "n1", "addresses": []}"#;
        let client = ConnectionFile::parse(text, &path).expect("a connection file");
        let cluster = RemoteCluster { client, ends: vec![], path: path.display().to_string() };
        let has_ended = || {
            let (program, input) = ended_question(&cluster);
            let mut shell = Command::new("sh");
            let shell = shell.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = shell.spawn().expect("sh");
            shell.stdin.take().expect("piped").write_all(input.as_bytes()).expect("write");
            let output = shell.wait_with_output().expect("end");
            String::from_utf8_lossy(&output.stdout).contains(ENDED)
        };
        std::fs::write(&path, text).expect("write");
        assert!(!has_ended());
        std::fs::write(&path, text.replace("1f", "20")).expect("write");
        assert!(has_ended());
        std::fs::remove_file(&path).expect("remove");
        assert!(has_ended());
        std::fs::remove_dir_all(root.path()).expect("remove");
        assert!(!has_ended(), "a file system that is not there");
    }

    #[test]
    fn the_unix_socket_is_for_its_own_host() {
        let text = r#"{"version": 1, "role": "client", "cluster": "a", "run_id": "1", "host": "n1", "shared_memory": null,
            "addresses": ["tcp://n1:10101", "ipc:///run/s"], "curve": {"server": "", "public": "", "secret": ""}}"#;
        let mut client = ConnectionFile::parse(text, Path::new("x")).expect("a connection file");
        let written =
            |client: &ConnectionFile, host| ends(client, host).iter().map(Endpoint::to_string).collect::<Vec<_>>();
        assert_eq!(written(&client, "n1"), ["/run/s", "n1:10101"]);
        assert_eq!(written(&client, "login"), ["n1:10101"]);
        client.curve = None;
        assert!(ends(&client, "login").is_empty());
    }
}
