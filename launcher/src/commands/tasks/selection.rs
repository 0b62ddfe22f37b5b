//! Which tasks are meant, as options say it.

use super::history::{FAILED, OPEN};
use crate::arguments::FilterArguments;
use crate::times::since;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_launchers::batch::clock;
use ipclusterz_runtime::wire::message::Filter;

/// The longest name that is looked for.
const NAME_MAX: usize = 512;

/// The filter that the options mean.
pub fn filter(arguments: &FilterArguments, limit: Option<u32>) -> Result<Filter, Failure> {
    arguments.state.iter().try_for_each(|state| check_state(state))?;
    check_length("--session", arguments.session.as_deref())?;
    check_length("--name", arguments.name.as_deref())?;
    Ok(Filter {
        session: arguments.session.clone(),
        requests: None,
        states: arguments.state.clone(),
        since: arguments.since.as_deref().map(|text| since(text, clock::now())).transpose()?,
        name: arguments.name.clone(),
        limit: limit.map(u64::from),
    })
}

/// Refuses what no session and no function is called.
pub fn check_length(option: &str, name: Option<&str>) -> Result<(), Failure> {
    match name.map(str::len) {
        Some(length) if length > NAME_MAX => {
            let message = format!("{option}: a name of {length} bytes is too long");
            Err(Failure::new(Exit::Usage, message).with_hint(format!("names have at most {NAME_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

fn check_state(state: &str) -> Result<(), Failure> {
    let known: Vec<&str> = OPEN.into_iter().chain(["ok"]).chain(FAILED).collect();
    if known.contains(&state) {
        return Ok(());
    }
    let likely = nearest(state, known.iter().copied()).map(|likely| format!("did you mean {likely:?}? "));
    let hint = format!("{}states there are: {}", likely.unwrap_or_default(), known.join(", "));
    Err(Failure::new(Exit::Usage, format!("--state: there is no state {state:?}")).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_none_is_refused_with_those_that_are() {
        let arguments = FilterArguments { state: vec!["runing".to_owned()], ..FilterArguments::default() };
        let failure = filter(&arguments, None).expect_err("no state");
        assert_eq!(failure.message, "--state: there is no state \"runing\"");
        let hint = failure.hint.expect("a hint");
        assert!(
            hint.starts_with("did you mean \"running\"? states there are: queued, waiting, held, running, ok, "),
            "{hint}"
        );
    }
}
