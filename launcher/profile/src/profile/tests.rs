//! Layers of real files: which one wins, what extends what, and what is refused.

use super::*;
use crate::write::write;
use proptest::prelude::*;

/// Folders of a user, a site and a project.
struct Site {
    root: tempfile::TempDir,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("folder");
        for folder in ["user", "site", "project"] {
            std::fs::create_dir(root.path().join(folder)).expect("create");
        }
        for (path, text) in files {
            std::fs::write(root.path().join(path), text).expect("write");
        }
        Self { root }
    }

    fn places(&self) -> Places {
        let project = self.root.path().join("project/ipclusterz.toml");
        Places {
            user: Some(self.root.path().join("user")),
            site: Some(self.root.path().join("site")),
            project: project.exists().then_some(project),
        }
    }

    fn load(&self, name: Option<&str>, variables: &[(&str, &str)], set: &[&str]) -> Result<Profile, ProfileError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        let options = Options { profile: name.map(str::to_owned), set, keys: Vec::new() };
        Profile::load(&options, &Variables::from_pairs(variables), &self.places())
    }

    /// The text and the hint of an error, without the folder of the test.
    fn error(&self, name: &str) -> (String, String) {
        let error = self.load(Some(name), &[], &[]).expect_err("must be refused");
        let root = format!("{}/", self.root.path().display());
        (error.to_string().replace(&root, ""), error.hint())
    }
}

#[test]
fn the_default_profile_needs_no_file_and_every_shipped_one_is_good() {
    let site = Site::new(&[]);
    for name in shipped::names() {
        let profile = site.load(Some(name), &[], &[]).expect(name);
        assert!(profile.chain.last().is_some_and(Found::is_embedded_default), "{name}");
    }
    let default = site.load(None, &[], &[]).expect("default");
    assert_eq!((default.name.as_str(), default.tables.engines.count), ("default", 0));
    assert!(default.origin("engines.count").is_default());
}

#[test]
fn each_layer_beats_the_one_below() {
    let site = Site::new(&[
        ("site/lab.toml", "[engines]\ncount = 10\n[batch]\nqos = \"site\"\naccount = \"site\"\nmemory = \"1G\"\n"),
        ("user/lab.toml", "extends = \"lab\"\n[engines]\ncount = 11\n[slurm]\naccount = \"user\"\n"),
        ("project/ipclusterz.toml", "profile = \"lab\"\n[engines]\ncount = 12\n"),
    ]);
    let count = |variables: &[_], set: &[_]| {
        let profile = site.load(None, variables, set).expect("good");
        (
            profile.tables.engines.count,
            profile.origin("engines.count").to_string().rsplit('/').next().map(str::to_owned),
        )
    };
    let variable = [("IPCLUSTERZ_ENGINES", "13")];
    assert_eq!(count(&variable, &["engines.count=14"]), (14, Some("--set".to_owned())));
    assert_eq!(count(&variable, &[]), (13, Some("IPCLUSTERZ_ENGINES".to_owned())));
    assert_eq!(count(&[], &[]), (12, Some("ipclusterz.toml:3".to_owned())));
    std::fs::write(site.root.path().join("project/ipclusterz.toml"), "profile = \"lab\"\n").expect("write");
    assert_eq!(count(&[], &[]), (11, Some("lab.toml:3".to_owned())));
    let profile = site.load(None, &[], &[]).expect("good");
    let batch = &profile.tables.batch;
    assert_eq!((batch.qos.as_str(), batch.account.as_str(), batch.partition.as_str()), ("site", "user", ""));
    let chain: Vec<&str> = profile.chain.iter().map(Found::from_where).collect();
    assert_eq!(chain, ["user", "site", "shipped"]);
    std::fs::remove_file(site.root.path().join("user/lab.toml")).expect("remove");
    assert_eq!(count(&[], &[]), (10, Some("lab.toml:2".to_owned())));
}

#[test]
fn a_default_of_the_users_own_is_under_every_profile() {
    let site = Site::new(&[
        ("user/default.toml", "[engines.env]\nA = \"1\"\n[engines]\nlease = 30\n"),
        ("user/lab.toml", "[engines.env]\nB = \"2\"\n"),
    ]);
    let profile = site.load(Some("lab"), &[], &[]).expect("good");
    assert_eq!(profile.tables.engines.lease, 30.0);
    assert_eq!(profile.tables.engines.env.keys().collect::<Vec<_>>(), ["A", "B"]);
    let shipped = site.load(Some("slurm"), &[], &[]).expect("good");
    assert_eq!(shipped.tables.engines.lease, 30.0);
}

#[test]
fn paths_start_at_the_file_that_names_them() {
    let site = Site::new(&[
        ("project/base.toml", "[engines]\ncount = 21\n"),
        ("project/more.toml", "extends = \"base.toml\"\n[engines]\nlease = 5\n"),
        ("project/ipclusterz.toml", "profile = \"./more.toml\"\n"),
    ]);
    let tables = site.load(None, &[], &[]).expect("good").tables;
    assert_eq!((tables.engines.count, tables.engines.lease), (21, 5.0));
    assert_eq!(site.error("/nowhere/lab.toml").0.split(": ").next(), Some("cannot read the profile /nowhere/lab.toml"));
}

#[test]
fn what_is_missing_or_circular_is_named_with_its_line() {
    let site = Site::new(&[
        ("user/a.toml", "# a\nextends = \"b\"\n"),
        ("user/b.toml", "extends = \"c\"\n"),
        ("user/c.toml", "extends = \"b\"\n"),
        ("user/d.toml", "extends = \"slrum\"\n"),
        ("user/e.toml", "extends = \"e\"\n"),
        ("user/f.toml", "extends = \"./g.toml\"\n"),
    ]);
    let circle = "user/c.toml:1:11: `extends` goes in a circle: user/b.toml extends user/c.toml extends user/b.toml";
    assert_eq!(site.error("a").0, circle);
    let (message, hint) = site.error("d");
    assert_eq!(
        message,
        "user/d.toml:1:11: `extends`: there is no profile \"slrum\" in user or site, nor among the shipped ones"
            .replace(" in user or site", &format!(" in {0}/user or {0}/site", site.root.path().display()))
            .replace(&format!("{}/", site.root.path().display()), "")
    );
    assert!(hint.starts_with("did you mean \"slurm\"? profiles there are: default, local, "), "{hint}");
    assert!(site.error("e").0.starts_with("user/e.toml:1:11: `extends`: there is no profile \"e\""));
    assert!(site.error("f").0.starts_with("user/f.toml:1:11: `extends`: cannot read the profile user/./g.toml: "));
}

#[test]
fn wrong_types_name_file_place_and_path() {
    for (text, expected) in [
        ("[engines]\ncount = \"four\"\n", "user/x.toml:2:9: `engines.count`: \"four\" is not a whole number from 0 on"),
        ("[engines]\ncount = -1\n", "user/x.toml:2:9: `engines.count`: -1 is not a whole number from 0 on"),
        (
            "[controller]\nadvertise = [\"a\", 5]\n",
            "user/x.toml:2:13: `controller.advertise[1]`: 5 is not text in quotes",
        ),
        ("[engines.env]\nA = 1\n", "user/x.toml:2:5: `engines.env.A`: 1 is not text in quotes"),
        ("[engines.env]\nA = { B = 1 }\n", "user/x.toml:2:5: `engines.env.A`: a table is not text in quotes"),
        ("[engines.count]\n", "user/x.toml:1:1: `engines.count`: a table is not a whole number from 0 on"),
        ("[ssh]\nhosts = [{ host = \"n1\" }]\n", "user/x.toml:2:9: `ssh.hosts[0]`: `engines` is missing"),
        (
            "[ssh]\nhosts = [\"n1\"]\n",
            "user/x.toml:2:9: `ssh.hosts[0]`: \"n1\" is not a table such as { host = \"n1\", engines = 4 }",
        ),
        (
            "[engines]\nlauncher = \"shs\"\n",
            "user/x.toml:2:12: `engines.launcher`: there is no `shs`, expected one of `local`, `ssh`, `mpiexec`, `batch`",
        ),
    ] {
        let site = Site::new(&[("user/x.toml", text)]);
        let (message, hint) = site.error("x");
        assert_eq!(message, expected);
        assert!(!hint.is_empty());
        // A stronger layer with a good value does not hide it.
        assert!(site.load(Some("x"), &[], &["engines.count=1", "engines.launcher=local"]).is_err(), "{text}");
    }
    let site = Site::new(&[("user/x.toml", "[engines]\nlauncher = \"mpixec\"\n")]);
    assert_eq!(site.error("x").1, "did you mean \"mpiexec\"?");
    let error = site.load(None, &[("IPCLUSTERZ_LAUNCHER", "slurm")], &[]).expect_err("no launcher");
    assert!(error.to_string().starts_with("IPCLUSTERZ_LAUNCHER: there is no `slurm`, expected one of "), "{error}");
    assert_eq!(error.hint(), "\"slurm\" is a profile: `extends = \"slurm\"`, or `--profile slurm`");
}

proptest! {
    #[test]
    fn what_is_shown_reads_back_equal(
        count in 0_u32..1_000_000,
        lease in 0.001_f64..1e8,
        texts in prop::collection::vec(any::<String>(), 0..4),
        env in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        host in any::<String>(),
        origins in any::<bool>(),
    ) {
        let site = Site::new(&[]);
        let mut profile = site.load(Some("slurm"), &[], &[]).expect("good");
        let origin = Origin::Option("--set");
        let mut set = |path: KeyPath, value: toml::Value| profile.entries.set(path, value, origin.clone());
        set(KeyPath::of("engines.count"), i64::from(count).into());
        set(KeyPath::of("engines.lease"), lease.into());
        set(KeyPath::of("engines.wrap"), texts.clone().into());
        for (name, value) in env {
            set(KeyPath::of("engines.env").join(&name), value.into());
        }
        let mut table = toml::Table::new();
        table.insert("host".to_owned(), host.into());
        table.insert("engines".to_owned(), 3.into());
        set(KeyPath::of("ssh.hosts"), vec![toml::Value::Table(table)].into());

        let text = write(&profile.entries, origins);
        std::fs::write(site.root.path().join("user/again.toml"), &text).expect("write");
        let again = site.load(Some("again"), &[], &[]).expect("reads back");
        prop_assert_eq!(again.tables, typed(&profile.entries).expect("typed"), "{}", text);
    }
}
