"""Gymnasium's transition tables: exact MDPs of environments that have one, and the way back.

An environment of toy-text lists in `P[state][action]` what may happen: tuples (probability, next
state, reward, terminated). An environment made here lists nothing for an action that is not
available, and says so in `info["action_mask"]`.
Source: Gymnasium's documentation, "Toy Text".
"""

from typing import Any

import numpy as np
from scipy import sparse

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    check_positive_integer,
)
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP


def from_gymnasium(env: Any, *, discount: float = 0.99) -> DiscountedMDP:
    """Build the exact MDP of a Gymnasium environment with a transition table `P`.

    An episode's end is explicit: where transitions are flagged as terminated they lead to one
    added state, the last, which absorbs at reward 0; states 0 to n - 1 keep their numbers. None is
    added if the table's last state is such a one already and all of them lead there. The initial
    distribution is the environment's own where it has one. A reward of a pair is the expectation
    over its transitions; actions without transitions are unavailable. Returns a sparse
    DiscountedMDP. Raises TypeError if the environment has no table, as most outside toy-text.
    """
    model, table = _table(env)
    states, actions = len(table), len(table[0])
    end = _end(table)
    total = max(states, end + 1)
    rewards = np.full((total, actions), -np.inf)
    rewards[states:] = 0.0
    entries = [(s * actions + a, s, 1.0) for s in range(states, total) for a in range(actions)]
    for s, a in np.ndindex(states, actions):
        if table[s][a]:
            rewards[s, a] = _expected(table[s][a])
        for probability, following, _, terminated in table[s][a]:
            entries.append((s * actions + a, end if terminated else following, probability))
    rows, columns, weights = zip(*entries, strict=True)
    # Repeated entries of one successor are summed by the conversion.
    kernel = sparse.csr_array(
        sparse.coo_array((weights, (rows, columns)), shape=(total * actions, total))
    )
    kernel.eliminate_zeros()
    return DiscountedMDP(kernel, rewards, discount, _initial(model, total))


def episodic_from_gymnasium(env: Any, horizon: int) -> EpisodicMDP:
    """Return the finite-horizon MDP of an environment that counts its steps in its states.

    As `to_gymnasium` makes it of an EpisodicMDP: state h * S + s for s at step h, transitions from
    a step to the next one only, those of the last step terminated. Raises TypeError if there is no
    table, ValueError naming the state at which it is of another form.
    """
    model, table = _table(env)
    steps = check_positive_integer(horizon, "horizon")
    states, rest = divmod(len(table), steps + 1)
    actions = len(table[0])
    if rest or not states:
        raise ValueError(
            f"env has {len(table)} states; expected a multiple of {steps + 1}, as many for each of "
            f"{steps} steps and after the last"
        )
    transitions = np.zeros((steps, states, actions, states))
    rewards = np.full((steps, states, actions), -np.inf)
    for h, s, a in np.ndindex(steps, states, actions):
        row = table[h * states + s][a]
        if row:
            rewards[h, s, a] = _expected(row)
        for probability, following, _, terminated in row:
            layer, successor = divmod(following, states)
            if layer != h + 1 or bool(terminated) != (layer == steps):
                raise ValueError(
                    f"env goes from state {h * states + s} to {following}"
                    f"{' and ends' * bool(terminated)}; expected a state of step {h + 1}, "
                    f"{(h + 1) * states} to {(h + 2) * states - 1}, and the end at step {steps}"
                )
            transitions[h, s, a, successor] += probability
    initial = _initial(model, len(table))
    if initial is not None:
        if initial[states:].any():
            raise ValueError(f"env may start after step 0; expected states 0 to {states - 1}")
        initial = initial[:states]
    return EpisodicMDP(transitions, rewards, initial)


def to_gymnasium(mdp: DiscountedMDP | EpisodicMDP) -> Any:
    """Return a Gymnasium environment of an MDP, with a transition table `P`.

    Observations are states 0 to S - 1, and an episode ends in the last one if that absorbs without
    reward and is no initial state; otherwise it goes on (wrap it in `TimeLimit`). Of an EpisodicMDP
    state s at step h is observed as h * S + s, and episodes end after H steps. `from_gymnasium` or
    `episodic_from_gymnasium` gives the same MDP back, bit for bit, but for the discount, of which
    an environment knows nothing, and a kernel shared by all steps, which is spelt out.
    Raises ImportError without Gymnasium, TypeError for anything else than an MDP.
    """
    if not isinstance(mdp, DiscountedMDP | EpisodicMDP):
        raise TypeError(f"mdp is {mdp!r:.80}; expected a DiscountedMDP or an EpisodicMDP")
    try:
        from rltheory.tabular.gymnasium_env import TabularEnv
    except ImportError:
        raise ImportError("to_gymnasium needs Gymnasium: install rltheory[interop]") from None
    if isinstance(mdp, EpisodicMDP):
        return TabularEnv(*_layered(mdp))
    # What stands in the rows of actions that are not available means nothing.
    keep = sparse.diags_array(mdp.available.ravel().astype(np.float64), format="csr")
    kernel = keep @ sparse.csr_array(mdp.rows)
    kernel.sum_duplicates()
    kernel.eliminate_zeros()
    final = np.zeros(mdp.states, dtype=bool)
    final[-1] = _is_end(mdp, kernel)
    return TabularEnv(kernel, mdp.rewards, mdp.initial, final)


def _table(env: Any) -> tuple[Any, Any]:
    model = getattr(env, "unwrapped", env)
    table = getattr(model, "P", None)
    if table is None:
        raise TypeError(
            f"env is {env!r}, which has no transition table `P`; "
            "expected a toy-text environment such as FrozenLake-v1, CliffWalking-v1 or Taxi-v4"
        )
    return model, table


def _expected(row: list[tuple[float, int, float, bool]]) -> float:
    """Return the mean reward of a pair, exactly if all its transitions pay the same."""
    first = row[0][2]
    if all(reward == first for _, _, reward, _ in row):
        return float(first)
    return float(sum(probability * reward for probability, _, reward, _ in row))


def _end(table: Any) -> int:
    """Return the state in which episodes end: the last, one after it, or -1 if they never do."""
    last = len(table) - 1
    ends = {
        following
        for actions in table.values()
        for row in actions.values()
        for probability, following, _, terminated in row
        if terminated and probability > 0
    }
    if not ends:
        return -1
    absorbs = all(entry[1:] == (last, 0, True) for row in table[last].values() for entry in row)
    return last if ends == {last} and absorbs else last + 1


def _initial(model: Any, states: int) -> Any:
    """Return the environment's initial distribution over that many states, or None."""
    given: Any = getattr(model, "initial_state_distrib", None)
    if given is None:
        return None
    initial = np.zeros(states)
    initial[: len(given)] = as_float_array(given, "initial_state_distrib", (None,))
    total = initial.sum()
    return initial if abs(total - 1.0) <= ROW_SUM_TOLERANCE else initial / total


def _is_end(mdp: DiscountedMDP, kernel: Any) -> bool:
    """Whether the last state is where everything is over: it absorbs, pays 0, starts nothing."""
    last = mdp.states - 1
    rows = kernel[last * mdp.actions :]
    paid = mdp.rewards[last][mdp.available[last]]
    stays = np.all(rows.indices == last) and np.all(rows.data == 1.0)
    return bool(stays and np.all(paid == 0.0) and mdp.initial[last] == 0.0)


def _layered(mdp: EpisodicMDP) -> tuple[Any, FloatArray, FloatArray, Any]:
    """Return kernel, rewards, initial distribution and final states, h * S + s for s at step h."""
    states, actions, steps = mdp.states, mdp.actions, mdp.horizon
    total = (steps + 1) * states
    # A kernel that all steps share is spelt out here.
    kernels = np.where(mdp.available[..., None], mdp.transitions, 0.0)
    kernels = kernels.reshape(steps, states * actions, states)
    step, row, successor = np.nonzero(kernels)
    after = np.arange(steps * states * actions, total * actions)
    kernel = sparse.csr_array(
        sparse.coo_array(
            (
                np.append(kernels[step, row, successor], np.ones(len(after))),
                (
                    np.append(step * states * actions + row, after),
                    np.append((step + 1) * states + successor, after // actions),
                ),
            ),
            shape=(total * actions, total),
        )
    )
    rewards = np.zeros((total, actions))
    rewards[: steps * states] = mdp.rewards.reshape(-1, actions)
    initial = np.zeros(total)
    initial[:states] = mdp.initial
    return kernel, rewards, initial, np.arange(total) >= steps * states
