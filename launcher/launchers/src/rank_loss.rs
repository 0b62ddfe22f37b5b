//! What the loss of a rank is to the others of its MPI_COMM_WORLD: what the profile wants, and what can be had.

use ipclusterz_profile::tables::engines::OnRankLoss;
use serde::{Deserialize, Serialize};

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankLoss {
    /// It.
    pub policy: OnRankLoss,
    /// Why it is not "shrink", which the profile wants.
    pub obstacle: Option<String>,
    /// The job of a set starts its ranks again, at the launcher's word, so that a set with a lost rank goes on.
    #[serde(default)]
    pub in_job: bool,
}

impl RankLoss {
    /// What is wanted, or a restart where survivors cannot be kept. `obstacle`: why they cannot.
    pub fn of(wanted: OnRankLoss, obstacle: Option<String>) -> Self {
        match obstacle {
            Some(obstacle) if wanted == OnRankLoss::Shrink => {
                Self { policy: OnRankLoss::Restart, obstacle: Some(obstacle), in_job: false }
            }
            _ => Self { policy: wanted, obstacle: None, in_job: false },
        }
    }

    /// What is to be said of it when it is not what the profile wants.
    pub fn notice(&self) -> Option<String> {
        let obstacle = self.obstacle.as_ref()?;
        let policy = self.policy.word();
        Some(format!("engines.on_rank_loss = \"shrink\" is not possible here: {obstacle}; it is \"{policy}\" instead"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_started_again_and_why_is_told() {
        let wanted = RankLoss::of(OnRankLoss::Shrink, None);
        assert_eq!(wanted, RankLoss { policy: OnRankLoss::Shrink, obstacle: None, in_job: false });
        let other = RankLoss::of(OnRankLoss::Shrink, Some("MPICH ends all".to_owned()));
        let said = "engines.on_rank_loss = \"shrink\" is not possible here: MPICH ends all; it is \"restart\" instead";
        assert_eq!((other.policy, other.notice().as_deref()), (OnRankLoss::Restart, Some(said)));
        assert_eq!(RankLoss::of(OnRankLoss::Stop, Some("x".to_owned())).policy, OnRankLoss::Stop);
    }
}
