//! How one awaited answer is named to the user.

use ipclusterz_base::ids::RequestId;

/// Digits of a client's uuid that stand in its message ids.
pub const CLIENT_DIGITS: usize = 8;

/// One target of one request of a client. As text: `<client>-<request>-<position>`, for example `0f3c9a1e-7-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerId {
    /// Its number in the session: unique, whichever client of the session has submitted it.
    pub request: RequestId,
    /// Which of the request's targets, counted from 0.
    pub position: u32,
}

/// A text that names no answer of a client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerIdError {
    /// Not of the form.
    #[error("{0:?} is no message id: one looks like {1}-7-0")]
    Malformed(String, String),
    /// Another client's.
    #[error("message id {0:?} is another client's: this client's begin with {1}-")]
    Foreign(String, String),
    /// There was no such request, or it has fewer targets.
    #[error("message id {0:?} was never submitted by this client")]
    Unknown(String),
}

impl AnswerId {
    /// Its name among the answers of `client`, which is the beginning of that client's uuid.
    pub fn text(self, client: &str) -> String {
        format!("{client}-{}-{}", self.request, self.position)
    }

    /// The answer of `client` that is called `text`.
    pub fn parse(text: &str, client: &str) -> Result<Self, AnswerIdError> {
        let malformed = || AnswerIdError::Malformed(text.to_owned(), client.to_owned());
        let [owner, request, position] = text.split('-').collect::<Vec<_>>()[..] else { return Err(malformed()) };
        let (Ok(request), Ok(position)) = (request.parse().map(RequestId), position.parse()) else {
            return Err(malformed());
        };
        let id = AnswerId { request, position };
        // Other spellings of the same numbers (`+7`, `007`) name nothing.
        if id.text(owner) != text || owner.len() != CLIENT_DIGITS || !owner.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(malformed());
        }
        if owner != client {
            return Err(AnswerIdError::Foreign(text.to_owned(), client.to_owned()));
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let id = AnswerId { request: RequestId(u64::MAX), position: 3 };
        assert_eq!(AnswerId::parse(&id.text("0f3c9a1e"), "0f3c9a1e"), Ok(id));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in ["", "0f3c9a1e", "0f3c9a1e-7", "0f3c9a1e-7-0-0", "0f3c9a1e-+7-0", "0f3c9a1e-07-0", "0f3c9a1-7-0"] {
            let malformed = matches!(AnswerId::parse(bad, "0f3c9a1e"), Err(AnswerIdError::Malformed(..)));
            assert!(malformed, "{bad:?}");
        }
        assert!(matches!(AnswerId::parse("00000000-7-0", "0f3c9a1e"), Err(AnswerIdError::Foreign(..))));
    }
}
