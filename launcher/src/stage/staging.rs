//! An environment for this host: from what it has, from another host, or from where it is installed.

use super::cache::{About, Cache, Environment, archive_in, tree_in};
use super::layout::Layout;
use super::{fingerprint, pack, passing, unpack, walk};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::stage::order::{Content, Order, Origin};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How many more bytes are free before an environment of an unknown size is read.
const LEAST: u64 = 64 << 20;

/// An environment that this host has.
#[derive(Debug)]
pub struct Staging {
    /// It is in use while this value lives.
    pub environment: Environment,
    /// What it is.
    pub content: Content,
    /// Where it is from.
    pub from: Origin,
    /// Why it is not from another host, if it should be.
    pub instead: Option<String>,
}

/// Has the environment here that is ordered. Tells what is done.
pub fn stage(cache: &Cache, order: &Order, tell: &mut dyn FnMut(&str)) -> Result<Staging, Failure> {
    let mut instead = None;
    if let Some(content) = &order.content {
        match have(cache, order, content, tell) {
            Ok((environment, from)) => return Ok(Staging { environment, content: content.clone(), from, instead }),
            Err(failure) => instead = Some(failure.message),
        }
    }
    Ok(Staging { instead, ..read(cache, order, tell)? })
}

/// From what is here, or from another host.
pub fn have(
    cache: &Cache,
    order: &Order,
    content: &Content,
    tell: &mut dyn FnMut(&str),
) -> Result<(Environment, Origin), Failure> {
    let (environment, from) = match cache.environment(&content.hash) {
        Some(environment) => (environment, Origin::Kept),
        None => (taken(cache, order, &content.hash, tell)?, Origin::Host),
    };
    cache.remember(&content.fingerprint, &content.hash)?;
    Ok((environment, from))
}

/// From another host.
fn taken(cache: &Cache, order: &Order, content: &str, tell: &mut dyn FnMut(&str)) -> Result<Environment, Failure> {
    let mut failure = Failure::new(Exit::StartFailed, "no host was named that has it");
    for addresses in &order.sources {
        let name = addresses.first().map_or("", String::as_str);
        tell(&format!("copying the environment from {name}"));
        match from_host(cache, order, addresses, content) {
            Ok(environment) => return Ok(environment),
            Err(why) => failure = Failure::new(why.exit(), format!("not from {name}: {}", why.message)),
        }
    }
    Err(failure)
}

fn from_host(cache: &Cache, order: &Order, addresses: &[String], content: &str) -> Result<Environment, Failure> {
    let ticket = passing::ticket(&order.secret)
        .ok_or_else(|| Failure::new(Exit::Usage, "the secret of the order is not one"))?;
    let copying = || Failure::io("copying");
    let taken = passing::take(addresses, &ticket, content).map_err(copying())?;
    let bytes = taken.left;
    begun(cache, bytes.saturating_mul(2), |folder| {
        let mut output = pack::Hashing::new(new_file(&archive_in(folder))?);
        taken.write_to(&mut output).map_err(copying())?;
        let (hash, _) = output.finish().map_err(copying())?;
        if hash != content {
            let message = format!("what came has the hash {hash}, and should have {content}");
            return Err(Failure::new(Exit::StartFailed, message));
        }
        opened(cache, order, folder, content, bytes)
    })
}

/// From where it is installed, unless what is here is that.
pub fn read(cache: &Cache, order: &Order, tell: &mut dyn FnMut(&str)) -> Result<Staging, Failure> {
    let layout = match order.archive {
        None => Some(Layout::of(Path::new(&order.python))?),
        Some(_) => None,
    };
    let fingerprint = match (&order.archive, &layout) {
        (Some(archive), _) => fingerprint::of_archive(Path::new(archive))?,
        (None, Some(layout)) => fingerprint::of_environment(layout)?,
        (None, None) => String::new(),
    };
    if let Some(hash) = cache.content_of(&fingerprint)
        && let Some(environment) = cache.environment(&hash)
    {
        let content = Content { hash, fingerprint };
        return Ok(Staging { environment, content, from: Origin::Kept, instead: None });
    }
    let (environment, hash) = begun(cache, LEAST, |folder| {
        let output = new_file(&archive_in(folder))?;
        let (content, bytes) = match (&order.archive, &layout) {
            (Some(archive), _) => {
                tell(&format!("reading {archive}"));
                copy(Path::new(archive), output)?
            }
            (None, layout) => {
                tell(&format!("reading the environment of {}", order.python));
                let roots = layout.as_ref().map(|layout| layout.roots.as_slice()).unwrap_or_default();
                pack::write(&walk::entries(roots)?, output)?
            }
        };
        if let Some(environment) = cache.environment(&content) {
            // Something has changed that changes nothing.
            cache.give_up(folder);
            return Ok((environment, content));
        }
        cache.make_room(bytes)?;
        tell("unpacking the environment");
        Ok((opened(cache, order, folder, &content, bytes)?, content))
    })?;
    cache.remember(&fingerprint, &hash)?;
    let content = Content { hash, fingerprint };
    Ok(Staging { environment, content, from: Origin::Installed, instead: None })
}

/// What `make` does in a new folder of the cache, which goes if that fails.
fn begun<T>(cache: &Cache, wanted: u64, make: impl FnOnce(&Path) -> Result<T, Failure>) -> Result<T, Failure> {
    let folder: PathBuf = cache.begin(wanted)?;
    make(&folder).inspect_err(|_| cache.give_up(&folder))
}

fn new_file(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create_new(path).map_err(Failure::io(format!("making {}", path.display())))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

fn copy(archive: &Path, output: impl Write) -> Result<(String, u64), Failure> {
    let mut output = pack::Hashing::new(output);
    let copied =
        File::open(archive).and_then(|mut file| io::copy(&mut file, &mut output)).and_then(|_| output.finish());
    copied.map_err(Failure::io(format!("copying {}", archive.display())))
}

/// Unpacks the archive in `folder`, which has this hash, and puts that in its place.
fn opened(cache: &Cache, order: &Order, folder: &Path, content: &str, bytes: u64) -> Result<Environment, Failure> {
    let (archive, tree) = (archive_in(folder), tree_in(folder));
    let python = match &order.archive {
        Some(name) => {
            unpack::with_program(name, &archive, &tree)?;
            unpack::python_in(&tree)?
        }
        None => {
            let unpacked = File::open(&archive).and_then(|archive| unpack::tar(archive, &tree));
            unpacked.map_err(Failure::io("unpacking the environment"))?;
            unpack::join_base(&tree, &cache.tree_of(content))?;
            unpack::link_libraries(&tree).map_err(Failure::io("linking the library of Python"))?;
            let name = Path::new(&order.python).file_name().and_then(|name| name.to_str()).unwrap_or("python");
            format!("{}/bin/{name}", super::layout::ENVIRONMENT)
        }
    };
    cache.finish(folder, content, &About::new(python, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_base::random::random_hex;
    use ipclusterz_launchers::stage::order::Secret;
    use ipclusterz_runtime::transport::handover::Giver;
    use std::fs;
    use std::process::Command;
    use std::time::Instant;

    /// Hosts of this process: a folder for what each has, and one for what is installed.
    struct Hosts(tempfile::TempDir);

    impl Hosts {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("temporary folder");
            let packages = folder.path().join("env/lib/python3.12/site-packages/numpy");
            for path in [&packages, &folder.path().join("env/bin")] {
                fs::create_dir_all(path).expect("make");
            }
            fs::write(packages.join("core.py"), "x = 1\n").expect("write");
            for (name, text) in [("bin/python", "#!/bin/sh\necho it runs\n"), ("pyvenv.cfg", "home = /usr/bin\n")] {
                fs::write(folder.path().join("env").join(name), text).expect("write");
            }
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(folder.path().join("env/bin/python"), mode).expect("mode");
            Self(folder)
        }

        fn cache(&self, name: &str) -> Cache {
            Cache::at(&self.0.path().join(name), Instant::now(), &mut |_| {}).expect("a cache")
        }

        fn order(&self) -> Order {
            Order {
                python: self.0.path().join("env/bin/python").display().to_string(),
                archive: None,
                content: None,
                sources: Vec::new(),
                secret: Secret { id: random_hex(16), key: random_hex(32) },
                watched: String::new(),
            }
        }

        /// The order for another host, with a giver of this archive.
        fn order_from(&self, staging: &Staging, archive: &Path) -> Order {
            let (giver, mut order) = (Giver::new().expect("a port"), self.order());
            let port = giver.addresses()[0].rsplit_once(':').expect("a port").1.to_owned();
            let ticket = passing::ticket(&order.secret).expect("a ticket");
            passing::give(giver, ticket, staging.content.hash.clone(), archive.to_path_buf()).expect("a thread");
            order.content = Some(staging.content.clone());
            order.sources = vec![vec![format!("127.0.0.1:{port}")]];
            order
        }
    }

    fn stage_in(cache: &Cache, order: &Order) -> Staging {
        stage(cache, order, &mut |_| {}).expect("staged")
    }

    #[test]
    fn it_is_read_once_and_then_kept_until_it_changes() {
        let hosts = Hosts::new();
        let (cache, order) = (hosts.cache("n1"), hosts.order());
        let first = stage_in(&cache, &order);
        assert_eq!((first.from, &first.instead), (Origin::Installed, &None));
        let output = Command::new(&first.environment.python).output().expect("it runs");
        assert_eq!(output.stdout, b"it runs\n");
        assert_eq!(stage_in(&cache, &order).from, Origin::Kept);
        let packages = hosts.0.path().join("env/lib/python3.12/site-packages");
        fs::write(packages.join("six.py"), "").expect("write");
        let second = stage_in(&cache, &order);
        assert!(second.from == Origin::Installed && second.content.hash != first.content.hash);
        // Both are there, and what has changed without being another is the same.
        fs::remove_file(packages.join("six.py")).expect("remove");
        assert_eq!(stage_in(&cache, &order).content.hash, first.content.hash);
    }

    #[test]
    fn another_host_has_it_without_what_is_installed() {
        let hosts = Hosts::new();
        let here = stage_in(&hosts.cache("n1"), &hosts.order());
        let order = hosts.order_from(&here, &here.environment.archive().expect("an archive"));
        fs::rename(hosts.0.path().join("env"), hosts.0.path().join("gone")).expect("rename");
        let cache = hosts.cache("n2");
        let there = stage_in(&cache, &order);
        assert_eq!((there.from, &there.content), (Origin::Host, &here.content));
        let file = "tree/env/lib/python3.12/site-packages/numpy/core.py";
        assert_eq!(fs::read(there.environment.folder.join(file)).expect("there"), b"x = 1\n");
        assert_eq!(stage_in(&cache, &Order { sources: Vec::new(), ..order }).from, Origin::Kept);
        // It would know it again, too, if it came first the next time.
        fs::rename(hosts.0.path().join("gone"), hosts.0.path().join("env")).expect("rename");
        assert_eq!(stage_in(&cache, &hosts.order()).from, Origin::Kept);
    }

    #[test]
    fn bytes_that_are_wrong_are_noticed_and_nothing_is_left_of_them() {
        let hosts = Hosts::new();
        let here = stage_in(&hosts.cache("n1"), &hosts.order());
        let archive = hosts.0.path().join("wrong");
        let mut bytes = fs::read(here.environment.archive().expect("an archive")).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&archive, bytes).expect("write");
        let cache = hosts.cache("n2");
        let there = stage_in(&cache, &hosts.order_from(&here, &archive));
        assert_eq!((there.from, &there.content), (Origin::Installed, &here.content));
        let instead = there.instead.expect("a reason");
        assert!(instead.contains("not from 127.0.0.1:") && instead.contains("should have"), "{instead}");
        let names = fs::read_dir(hosts.0.path().join("n2")).expect("a folder");
        let new = names
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b"new")));
        assert_eq!(new.count(), 0);
    }

    #[test]
    fn an_archive_is_copied_and_unpacked() {
        let hosts = Hosts::new();
        let archive = hosts.0.path().join("env.tar.gz");
        let made = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(hosts.0.path()).arg("env").status();
        assert!(made.expect("tar").success());
        let order = Order { archive: Some(archive.display().to_string()), ..hosts.order() };
        let cache = hosts.cache("n1");
        let staging = stage_in(&cache, &order);
        assert!(staging.environment.python.ends_with("tree/env/env/bin/python"), "{:?}", staging.environment);
        assert_eq!(stage_in(&cache, &order).from, Origin::Kept);
        fs::write(&archive, "not one").expect("write");
        let failure = stage(&cache, &order, &mut |_| {}).expect_err("no archive");
        assert!(failure.message.contains("tar cannot unpack"), "{failure:?}");
    }
}
