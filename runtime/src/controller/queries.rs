//! Questions about work of the past and of others: what the core knows of them, and what is passed on to the history.

use super::core::Core;
use super::history::Question;
use crate::transport::Route;
use crate::wire::message::{Ask, AskEvents, Found, Query};
use ipclusterz_base::ids::RequestId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a question goes.
pub(super) enum Way {
    /// It is answered.
    Answered(Found),
    /// Whoever tells what happens answers it.
    Shown(u64, AskEvents),
    /// The history answers it.
    Asked(Box<Question>),
}

/// Looks up what the core knows. `began`: when its clock began, seconds since 1970; none: there is no history.
pub(super) fn look_up(core: &Core, route: Route, query: Query, now: Duration, began: Option<f64>) -> Way {
    let Query { number, ask } = query;
    let (name, open, names) = match (&ask, began) {
        (Ask::Explain { session, requests, engine }, began) => {
            let tasks = core.why(session, &requests.iter().copied().collect(), *engine, began.unwrap_or_default());
            return Way::Answered(Found { number, tasks, ..Found::default() });
        }
        (Ask::Events(ask), _) => return Way::Shown(number, *ask),
        (_, None) => {
            let error = "this cluster keeps no history: controller.journal of its profile is \"off\"".to_owned();
            return Way::Answered(Found { number, error: Some(error), ..Found::default() });
        }
        (Ask::Sessions, _) => {
            return Way::Answered(Found { number, sessions: core.sessions(now), ..Found::default() });
        }
        (Ask::Tasks(filter), Some(began)) => {
            let named: Option<BTreeSet<&RequestId>> =
                filter.requests.as_ref().map(|requests| requests.iter().collect());
            let meant = |request| named.as_ref().is_none_or(|named| named.contains(&request));
            (filter.session.as_deref(), core.open_tasks(filter, began, meant), core.names_of_sessions())
        }
        (Ask::Purge(filter), _) => (filter.session.as_deref(), Vec::new(), BTreeMap::new()),
        (Ask::Submissions { session }, _) => (Some(&**session), Vec::new(), BTreeMap::new()),
        (Ask::Results { session, requests }, _) => {
            let open = core.unanswered(session, &requests.iter().copied().collect());
            (Some(&**session), open, BTreeMap::new())
        }
    };
    let session = name.map(|name| core.id_of_session(name));
    Way::Asked(Box::new(Question { route, number, ask, session, names, open }))
}
