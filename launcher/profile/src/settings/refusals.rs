//! What is wrong with one of `queue.refusals`, beside its pattern.

use crate::key_path::KeyPath;
use crate::schema;
use crate::tables::queue::Refusal;

/// The fault and what to do about it; `None` if there is none.
pub fn fault(refusal: &Refusal) -> Option<(String, String)> {
    let table = KeyPath::of("batch");
    if refusal.about.is_empty() && refusal.valid.is_empty() && refusal.hint.is_empty() {
        let hint = "name the keys of [batch] that it is about, such as about = [\"account\"], or give a hint";
        return Some((format!("the one of {:?} says nothing", refusal.pattern), hint.to_owned()));
    }
    let wrong = refusal.about.iter().find(|name| schema::kind(&table.join(name)).is_none())?;
    let hint = format!("keys of [batch] are: {}", schema::keys_in(&table).join(", "));
    Some((format!("about {wrong:?}, but there is no `batch.{wrong}`"), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(names: &[&str]) -> Option<(String, String)> {
        let about = names.iter().map(|name| (*name).to_owned()).collect();
        fault(&Refusal { pattern: "no".to_owned(), about, valid: Vec::new(), hint: String::new() })
    }

    #[test]
    fn only_keys_of_batch_are_refused() {
        assert_eq!(about(&["account", "partition"]), None);
        let (message, hint) = about(&["acount"]).expect("no such key");
        assert_eq!(message, "about \"acount\", but there is no `batch.acount`");
        assert!(hint.starts_with("keys of [batch] are: account, array, "), "{hint}");
        assert_eq!(about(&[]).expect("nothing").0, "the one of \"no\" says nothing");
    }
}
