"""One compiled loop for actor-critics and their rivals in tabular models.

An episode: the critic is refreshed if the rule's test has fired; the policy is evaluated exactly
and played; the actor moves.
"""

from numba import njit

from rltheory.linear_mdp.actor_critic.actor import ascend, greedy, restart
from rltheory.linear_mdp.actor_critic.critic import fit, promise
from rltheory.linear_mdp.actor_critic.q_steps import improve
from rltheory.linear_mdp.actor_critic.state import (
    EPISODES,
    FIRED,
    GREEDY,
    NEVER,
    PERIOD,
    SINCE,
    STALE,
    SWITCHES,
    VALUE,
    WEIGHTS,
)
from rltheory.linear_mdp.actor_critic.switching import due, measure, watch
from rltheory.linear_mdp.actor_critic.world_kernels import evaluate, lead
from rltheory.linear_mdp.simulation import pick


@njit(cache=True, nogil=True, error_model="numpy")
def play(world, rule, memory, draws, values, promises, returns, switched):  # type: ignore[no-untyped-def]
    """Play an episode for each row of draws (n, 1 + 2 H) of uniform numbers.

    Writes, by episode: the exact value of the policy played, what the critic promises at the
    start, the return, and whether the critic was refreshed before it.
    """
    clock = memory.clock
    for episode in range(len(draws)):
        fresh = due(rule, memory)
        switched[episode] = fresh
        if fresh:
            _renew(world, rule, memory)
        if clock[STALE] > 0.0:
            clock[VALUE] = evaluate(world, memory.policy)
            clock[STALE] = 0.0
        values[episode] = clock[VALUE]
        promises[episode] = promise(world, memory)
        returns[episode] = _walk(world, rule, memory, draws[episode])
        clock[EPISODES] += 1.0
        clock[SINCE] += 1.0
        if rule.actor == WEIGHTS and rule.rounds == 0:
            ascend(world, rule.step, memory)
        elif rule.switch == NEVER:
            clock[STALE] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _renew(world, rule, memory):  # type: ignore[no-untyped-def]
    """Refresh the critic, and what the actor owes to it."""
    clock = memory.clock
    if rule.actor == WEIGHTS and rule.reset:
        restart(world, memory)
    for _ in range(max(rule.rounds, 1)):
        fit(world, rule, memory)
        if rule.rounds > 0:
            ascend(world, rule.step, memory)
    if rule.actor == GREEDY:
        for h in range(len(world.lives)):
            for i in range(world.lives[h]):
                greedy(memory, h, world.live[h, i])
    clock[SWITCHES] += 1.0
    clock[FIRED], clock[SINCE], clock[STALE] = 0.0, 0.0, 1.0
    if rule.forget:
        memory.counts[:] = 0.0
        memory.visits[:] = 0.0
        memory.known[:] = 0.0
    measure(world, rule, memory)


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(world, rule, memory, draws):  # type: ignore[no-untyped-def]
    """Play the policy once, learn what the rule learns on the way, return the return."""
    s = pick(world.initial, draws[0])
    earned = 0.0
    for h in range(len(world.lives)):
        a = pick(memory.policy[h, s], draws[1 + 2 * h])
        at = lead(world, h, s, a, draws[2 + 2 * h])
        y = world.successors[at]
        earned += world.rewards[h, s, a]
        memory.known[h] += 1.0 if memory.visits[h, s, a] == 0.0 else 0.0
        memory.counts[at] += 1.0
        memory.visits[h, s, a] += 1.0
        if rule.switch == NEVER:
            improve(world, rule, memory, h, s, a, y)
        elif rule.switch != PERIOD:
            watch(world, rule, memory, h, s, a, y)
        s = y
    return earned
