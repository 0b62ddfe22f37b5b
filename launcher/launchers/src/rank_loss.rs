//! What happens to the other ranks of an MPI_COMM_WORLD when one is lost: what the profile asks for, and what is
//! possible. The supervisor carries it out.

use ipclusterz_profile::tables::engines::OnRankLoss;
use serde::{Deserialize, Serialize};

/// The policy that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankLoss {
    /// What happens to the other ranks.
    pub policy: OnRankLoss,
    /// Why the policy is not "shrink", which the profile asks for.
    pub obstacle: Option<String>,
    /// Whether the job of a set restarts its ranks when the launcher asks for it, so that a set with a lost rank goes
    /// on.
    #[serde(default)]
    pub in_job: bool,
}

impl RankLoss {
    /// The policy `wanted`, or restart when the profile wants "shrink" and survivors cannot be kept. `obstacle` is the
    /// reason why they cannot.
    pub fn of(wanted: OnRankLoss, obstacle: Option<String>) -> Self {
        match obstacle {
            Some(obstacle) if wanted == OnRankLoss::Shrink => {
                Self { policy: OnRankLoss::Restart, obstacle: Some(obstacle), in_job: false }
            }
            _ => Self { policy: wanted, obstacle: None, in_job: false },
        }
    }

    /// The notice for the user when the policy is not what the profile asks for.
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
