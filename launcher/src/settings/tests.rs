//! Precedence of the sources, and values that are refused.

use super::*;
use crate::arguments::{Arguments, parser};
use clap::FromArgMatches;

fn settings_of(line: &str, variables: &[(&str, &str)], profile: Option<&str>) -> Result<StartSettings, SettingsError> {
    let matches = parser().try_get_matches_from(line.split_whitespace()).expect("arguments");
    let arguments = Arguments::from_arg_matches(&matches).expect("arguments").start;
    let variables = Variables::from_pairs(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    let folder = tempfile::tempdir().expect("temporary folder");
    if let Some(text) = profile {
        std::fs::write(folder.path().join("default.toml"), text).expect("write");
    }
    StartSettings::new(&arguments, &variables, Some(folder.path()))
}

#[test]
fn option_beats_variable_beats_profile_beats_default() {
    let profile = Some("[engines]\ncount = 3\n");
    let variable = [("IPCLUSTERZ_ENGINES", "5")];
    let count = |line, variables: &[_], profile| settings_of(line, variables, profile).expect("settings").engines;
    assert_eq!(count("ipclusterz -n 7", &variable, profile), 7);
    assert_eq!(count("ipclusterz --json", &variable, profile), 5);
    assert_eq!(count("ipclusterz --json", &[], profile), 3);
    assert_eq!(count("ipclusterz --json", &[], None), 4);
}

#[test]
fn each_variable_is_honoured() {
    let variables = [
        ("IPCLUSTERZ_CLUSTER", "lab"),
        ("IPCLUSTERZ_PYTHON", "/opt/python"),
        ("IPCLUSTERZ_TIMEOUT", "2.5"),
        ("IPCLUSTERZ_RESTART", "true"),
        ("IPCLUSTERZ_LISTEN", "127.0.0.1:0"),
        ("IPCLUSTERZ_ADVERTISE", "n1, n1.lab"),
    ];
    let settings = settings_of("ipclusterz -n 1", &variables, None).expect("settings");
    assert_eq!(settings.cluster, "lab");
    assert_eq!(settings.python.as_deref(), Some("/opt/python"));
    assert_eq!(settings.timeout, Duration::from_millis(2500));
    assert!(settings.restart);
    assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:0"));
    assert_eq!(settings.advertise, ["n1", "n1.lab"]);
}

#[test]
fn refused_values_name_their_origin() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: [Case<'_>; 9] = [
        ("ipclusterz -n 0", &[], None, "--engines: 0 engines"),
        ("ipclusterz --json", &[("IPCLUSTERZ_ENGINES", "many")], None, "IPCLUSTERZ_ENGINES: \"many\""),
        ("ipclusterz --json", &[], Some("[engines]\ncount = 0"), "default.toml: `engines.count`: 0 engines"),
        ("ipclusterz -n 1 --timeout 0", &[], None, "--timeout: 0 is not"),
        ("ipclusterz -n 1 --timeout nan", &[], None, "--timeout: NaN is not"),
        ("ipclusterz -n 1 --listen 10101", &[], None, "--listen: \"10101\" has no port"),
        ("ipclusterz -n 1 --listen 0.0.0.0:99999", &[], None, "--listen: \"99999\" is not a port"),
        ("ipclusterz -n 1 --advertise n1", &[], None, "--advertise: there is no TCP port"),
        ("ipclusterz -n 1", &[], Some("[controller]\nlocal = false"), "`controller.local`: without"),
    ];
    for (line, variables, profile, expected) in cases {
        let error = settings_of(line, variables, profile).expect_err(line);
        assert!(error.to_string().contains(expected), "{line}: {error}");
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.hint.is_some(), "{line} has no hint");
    }
}

#[test]
fn variables_for_engines_come_from_the_profile() {
    let settings =
        settings_of("ipclusterz -n 1", &[], Some("[engines.env]\nOMP_NUM_THREADS = \"1\"\n")).expect("settings");
    assert_eq!(settings.engine_environment["OMP_NUM_THREADS"], "1");
}

#[test]
fn a_bad_name_of_a_cluster_is_refused() {
    let error = settings_of("ipclusterz -n 1 --cluster ../x", &[], None).expect_err("bad name");
    assert_eq!(Failure::from(error).exit(), Exit::Usage);
}
