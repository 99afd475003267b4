"""What least-squares value iteration remembers: sums over visits, from data or in the limit.

The arrays are those of `rltheory.linear_mdp.visits.Memory`; they are made and checked here.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.linear_mdp.visits import Memory, refresh


def empty(model: Any, ridge: float, *, norms: bool) -> Memory:
    """Return a memory of no visits: ridge times the identity for every step.

    norms: whether the norms of all features are kept, as an elliptical bonus needs them.
    """
    states, actions, d = model.features.shape
    horizon = model.horizon
    weight = check_range(ridge, "ridge", 0.0, np.inf, include_high=False)
    if weight == 0.0:
        raise ValueError("ridge is 0; expected a positive number, as no data make a regression")
    identity = np.broadcast_to(np.eye(d), (horizon, d, d))
    squares = np.square(model.features).sum(axis=-1) / weight
    return Memory(
        gram=weight * identity,
        inverse=identity / weight,
        cross=np.zeros((horizon, states, d)),
        weights=np.zeros((horizon, states, d)),
        rewards=np.zeros((horizon, d)),
        seen=np.zeros((horizon, states), dtype=np.int64),
        met=np.zeros((horizon, states), dtype=np.bool_),
        counts=np.zeros((horizon, 2), dtype=np.int64),
        norms=np.tile(squares, (horizon, 1, 1)) if norms else np.empty((horizon, 0, actions)),
    )


def of_sums(
    model: Any,
    gram: FloatArray,
    cross: FloatArray,
    rewards: FloatArray,
    visits: Any,
    *,
    norms: bool,
) -> Memory:
    """Return the memory of given sums.

    gram (H, d, d), ridge included; cross (H, S, d); rewards (H, d), as in Memory; visits (H,): how
    many they are of. Raises ValueError for sums that are not finite or of another shape, and
    naming the step whose gram is singular.
    """
    states, actions, d = model.features.shape
    horizon = model.horizon
    sums = (("gram", gram, (d, d)), ("cross", cross, (states, d)), ("rewards", rewards, (d,)))
    for name, array, shape in sums:
        check_finite(as_float_array(array, name, (horizon, *shape)), name)
    met = np.any(cross != 0.0, axis=-1)
    seen, counts = np.zeros((horizon, states), dtype=np.int64), np.zeros((horizon, 2), np.int64)
    for h in range(horizon):
        reached = np.flatnonzero(met[h])
        seen[h, : len(reached)] = reached
        counts[h] = len(reached), visits[h]
    memory = Memory(
        gram=np.array(gram),
        inverse=np.empty((horizon, d, d)),
        cross=np.array(cross),
        weights=np.zeros((horizon, states, d)),
        rewards=np.array(rewards),
        seen=seen,
        met=met,
        counts=counts,
        norms=np.empty((horizon, states if norms else 0, actions)),
    )
    for h in range(horizon):
        smallest = float(np.linalg.eigvalsh(memory.gram[h])[0])
        if smallest <= 1e-14 * float(np.trace(memory.gram[h])):
            raise ValueError(
                f"the design of step {h} is singular: its least eigenvalue is {smallest:.1e}; "
                "expected data that excite every feature, or ridge > 0"
            )
        refresh(memory, model.features, h)
    return memory


def check(memory: Memory, model: Any, *, norms: bool) -> None:
    """Raise ValueError unless a memory is of a model's shape, and has the norms if they are needed.

    norms: whether they are, for an elliptical bonus.
    """
    states, actions, d = model.features.shape
    if memory.cross.shape != (model.horizon, states, d):
        raise ValueError(
            f"data has sums of shape {memory.cross.shape}; expected {(model.horizon, states, d)}"
        )
    if norms and memory.norms.shape != (model.horizon, states, actions):
        raise ValueError(
            "data lacks the norms that bonus_form 'elliptical' needs; expected a memory made with "
            "norms=True"
        )


def population(model: LinearMDP, visits: ArrayLike | None = None, *, norms: bool = False) -> Memory:
    """Return the memory of infinitely many visits: expectations instead of sums, no ridge.

    visits: (H, S, A) how often each pair is visited, uniformly where not given. The estimates are
    then exact: weights[h] is the transpose of measures[h]. Raises ValueError if the visits do not
    excite every feature, or are no weights; TypeError for a model that is not linear.
    """
    if not isinstance(model, LinearMDP):
        raise TypeError(f"model is {model!r:.80}; expected a LinearMDP")
    shape = model.rewards.shape
    share = np.full(shape, 1.0 / np.prod(shape[1:]))
    if visits is not None:
        share = as_float_array(visits, "visits", shape)
        check_finite(share, "visits")
        if share.min() < 0.0:
            raise ValueError(f"visits holds {share.min()}; expected nonnegative numbers")
    x = model.features.reshape(-1, model.dimension)
    weighted = share.reshape(model.horizon, -1, 1) * x
    gram = np.einsum("hnd,ne->hde", weighted, x)
    cross = np.stack([(gram[h] @ model.measures[h]).T for h in range(model.horizon)])
    rewards = np.einsum("hde,he->hd", gram, model.reward_weights)
    memory = of_sums(
        model, gram, cross, rewards, np.zeros(model.horizon, dtype=np.int64), norms=norms
    )
    # Not only up to rounding: the least probability of a bad state is worth something to KL.
    memory.weights[:] = np.swapaxes(model.measures, 1, 2)
    return memory
