"""What linear NORA does between two switches: it plays, records and follows its fixed critic."""

from typing import Any, NamedTuple

from numba import njit

from rltheory.linear_mdp.actor_critic.actor import ascend
from rltheory.linear_mdp.actor_critic.critic import promise
from rltheory.linear_mdp.actor_critic.state import EPISODES
from rltheory.linear_mdp.actor_critic.switching import due, grow
from rltheory.linear_mdp.actor_critic.world_kernels import evaluate, lead
from rltheory.linear_mdp.simulation import pick
from rltheory.linear_mdp.visits import record


class State(NamedTuple):
    """What is kept beside the design, named as in a tabular learner's `Memory`.

    visits (H, S, A): of the pairs; spent (H,): growths of the logarithms of determinants since the
    critic was fitted; action_values, logits, policy (H, S, A); clock (6,).
    """

    visits: Any
    spent: Any
    action_values: Any
    logits: Any
    policy: Any
    clock: Any


@njit(cache=True, nogil=True, error_model="numpy")
def stretch(table, world, rule, design, state, draws, values, promises, returns):  # type: ignore[no-untyped-def]
    """Play an episode for each row of draws (n, 1 + 2 H) until the test fires; return how many.

    table: the model spelt out; world: with its features. Writes the exact value of the policy
    played, what the critic promises at the start, and the return.
    """
    clock = state.clock
    for episode in range(len(draws)):
        values[episode] = evaluate(table, state.policy)
        promises[episode] = promise(table, state)
        returns[episode] = _walk(table, world, rule, design, state, draws[episode])
        clock[EPISODES] += 1.0
        ascend(table, rule.step, state)
        if due(rule, state):
            return episode + 1
    return len(draws)


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(table, world, rule, design, state, draws):  # type: ignore[no-untyped-def]
    """Play the policy once, record it, return the return."""
    s = pick(table.initial, draws[0])
    earned = 0.0
    for h in range(len(table.lives)):
        a = pick(state.policy[h, s], draws[1 + 2 * h])
        y = table.successors[lead(table, h, s, a, draws[2 + 2 * h])]
        reward = table.rewards[h, s, a]
        grow(rule, state, h, max(design.norms[h, s, a], 0.0))
        record(design, world, h, s, a, reward, y)
        state.visits[h, s, a] += 1.0
        earned += reward
        s = y
    return earned
