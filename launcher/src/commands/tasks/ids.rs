//! Ids of tasks as they are typed.

use ipclusterz_base::ids::RequestId;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Digits that begin an id.
const DIGITS: usize = 8;

/// One task, or all of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskName {
    /// As it was typed.
    pub typed: String,
    /// The beginning of the session's id.
    pub session: String,
    /// The number of the call in its session.
    pub request: RequestId,
    /// Which target of the call; `None`: all.
    pub position: Option<u32>,
}

impl TaskName {
    /// Reads `0f3c9a1e-7-0` or `0f3c9a1e-7`.
    pub fn parse(typed: &str) -> Result<TaskName, Failure> {
        parse(typed).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{typed:?} is no id of a task"))
                .with_hint("one looks like 0f3c9a1e-7-0; `ipclusterz tasks list` lists them")
        })
    }

    /// Reads several.
    pub fn parse_all(typed: &[String]) -> Result<Vec<TaskName>, Failure> {
        typed.iter().map(|typed| TaskName::parse(typed)).collect()
    }

    /// Its one spelling: the id of a task, or of a call.
    pub fn text(&self) -> String {
        let position = self.position.map(|position| format!("-{position}")).unwrap_or_default();
        format!("{}-{}{position}", self.session, self.request)
    }
}

/// The call that a task is of: `0f3c9a1e-7` of `0f3c9a1e-7-0`.
pub fn call_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(call, _)| call)
}

fn parse(typed: &str) -> Option<TaskName> {
    let parts: Vec<&str> = typed.split('-').collect();
    let (session, request, position) = match parts.as_slice() {
        [session, request] => (session, request, None),
        [session, request, position] => (session, request, Some(number(position)?)),
        _ => return None,
    };
    let good = session.len() == DIGITS && session.bytes().all(|byte| byte.is_ascii_hexdigit());
    let position = position.map(u32::try_from).transpose().ok()?;
    let request = RequestId(number(request)?);
    good.then(|| TaskName { typed: typed.to_owned(), session: (*session).to_owned(), request, position })
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_or_a_call_is_named() {
        let task = TaskName::parse("0f3c9a1e-7-0").expect("a task");
        assert_eq!((task.text().as_str(), task.position), ("0f3c9a1e-7-0", Some(0)));
        let call = TaskName::parse("0f3c9a1e-7").expect("a call");
        assert_eq!((call.text().as_str(), call.position), (call_of("0f3c9a1e-7-12"), None));
        for bad in ["", "x", "0f3c9a1e", "0f3c9a1e-", "0f3c9a1e-07", "0f3c9a1e-7-+1", "0f3c9a1e-7-0-0", "sweep-7-0"] {
            assert_eq!(TaskName::parse(bad).expect_err(bad).message, format!("{bad:?} is no id of a task"));
        }
    }
}
