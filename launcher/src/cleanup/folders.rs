//! Removes folders of sockets and pipes whose owner is gone.

use ipclusterz_base::places::PlacesError;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::owned;

/// Removes the folders that dead processes of this user have left on this host: those of `owner`, or all if it is
/// `None`. Returns an error for each folder that could not be removed; the others are removed all the same.
pub fn remove_left(owner: Option<ProcessIdentity>) -> Vec<PlacesError> {
    let left = owned::left().into_iter().flatten();
    let wanted = left.filter(|left| owner.is_none_or(|owner| left.owner == owner));
    wanted.filter_map(|left| owned::remove(&left.path).err()).collect()
}
