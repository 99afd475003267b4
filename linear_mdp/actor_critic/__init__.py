"""Optimistic actor-critics and their rivals, with the exact regret of every policy played."""

from rltheory.linear_mdp.actor_critic.baselines import (
    optimistic_npg,
    q_learning_ucb,
    q_learning_ucb_b,
    rare_ucbvi,
    tabular_lsvi_ucb,
    ucbvi,
    ucbvi_settings,
)
from rltheory.linear_mdp.actor_critic.douhua import douhua, douhua_settings
from rltheory.linear_mdp.actor_critic.hybrid import (
    episodes_needed,
    hybrid_nora,
    hybrid_q,
    hybrid_ucbvi,
    noah,
)
from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.actor_critic.nora import nora, nora_settings
from rltheory.linear_mdp.actor_critic.offline import (
    OfflineRun,
    pessimistic_actor_critic,
    pessimistic_value_iteration,
    pspi,
)
from rltheory.linear_mdp.actor_critic.offline_data import (
    OfflineData,
    collect_offline,
    covering_data,
)
from rltheory.linear_mdp.actor_critic.power import Power, power_statement
from rltheory.linear_mdp.actor_critic.runs import (
    ActorCriticRun,
    optimal_value,
    run_actor_critic,
)
from rltheory.linear_mdp.actor_critic.settings import Settings, switch_bound, theory_step

__all__ = [
    "ActorCriticRun",
    "OfflineData",
    "OfflineRun",
    "Power",
    "Settings",
    "collect_offline",
    "covering_data",
    "douhua",
    "douhua_settings",
    "episodes_needed",
    "hybrid_nora",
    "hybrid_q",
    "hybrid_ucbvi",
    "linear_nora",
    "noah",
    "nora",
    "nora_settings",
    "optimal_value",
    "optimistic_npg",
    "pessimistic_actor_critic",
    "pessimistic_value_iteration",
    "power_statement",
    "pspi",
    "q_learning_ucb",
    "q_learning_ucb_b",
    "rare_ucbvi",
    "run_actor_critic",
    "switch_bound",
    "tabular_lsvi_ucb",
    "theory_step",
    "ucbvi",
    "ucbvi_settings",
]
