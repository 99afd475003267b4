r"""Policy-gradient estimators as weight functions: one record each, one enumeration for all.

A group holds G responses y_1 to y_G. An estimator returns sum_i w_i h(y_i): `weights` computes the
w_i from what it reads of the group (rewards, lengths, norms of scores, what is known of the
prompt), and h(y) is the score, or what a gate makes of it by the ratio and the sign of w_i.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.analysis.estimators.backends import namespace
from rltheory.analysis.estimators.gates import (
    GSPO_CLIP,
    PPO_CLIP,
    SAPO_GATE,
    SEQUENCE_RATIO,
    Gate,
)
from rltheory.analysis.estimators.outcomes import Outcomes

Normalisation = Literal["group", "response", "token"]
Scope = Literal["prompt", "batch"]


class Group(NamedTuple):
    """What weight functions may read of G responses to a prompt; arrays of NumPy or JAX.

    rewards, squared_norms (of the scores), lengths: (..., G).
    value, optimal, greedy: (..., 1) what is known of the prompt: its expected reward, its
    variance-optimal baseline and the reward of its greedy response. With the scope "batch" a group
    runs across prompts and these are (..., G).
    """

    rewards: Any
    squared_norms: Any = None
    lengths: Any = None
    value: Any = None
    optimal: Any = None
    greedy: Any = None


class Pairwise(NamedTuple):
    """Advantages of the form own[i] - sum over j != i of others[j], arrays (..., G).

    Moments of such estimators have closed forms for groups of any size.
    """

    own: Any
    others: Any


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """An estimator of the policy gradient from G responses to a prompt.

    advantages(group): (..., G), equivariant under a permutation of the group.
    pairwise(group, G): the same as a `Pairwise`, where it has that form, of entries taken alone.
    reads: names of the fields of `Group` that vary within a group and that it looks at.
    normalisation: what the sum is divided by: the size of the "group", that and the length of
    each "response" (GRPO), or the number of "token"s of the group (DAPO).
    gate: off-policy weights. scope: whether a group holds responses to one "prompt" or runs
    across the "batch". rational: whether Fractions stay Fractions. smallest: the least group.
    vectors(outcomes): (n, k), replaces the scores where an estimator is more than a weight.
    source: author, year, number in the work.
    """

    name: str
    title: str
    source: str
    advantages: Callable[[Group], Any]
    pairwise: Callable[[Group, int], Pairwise] | None = None
    reads: tuple[str, ...] = ("rewards",)
    normalisation: Normalisation = "group"
    gate: Gate = SEQUENCE_RATIO
    scope: Scope = "prompt"
    rational: bool = True
    smallest: int = 1
    vectors: Callable[[Outcomes], Any] | None = None

    def weights(self, group: Group) -> Any:
        """Return the weight (..., G) of each response: its advantage, normalised."""
        advantages = self.advantages(group)
        size = group.rewards.shape[-1]
        if self.normalisation == "group":
            return advantages / size
        if self.normalisation == "response":
            return advantages / (size * group.lengths)
        return advantages / group.lengths.sum(axis=-1, keepdims=True)

    def check_group(self, size: int) -> int:
        """Return a group size; raise ValueError unless it is an integer and large enough."""
        check_positive_integer(size, "group_size")
        if size < self.smallest:
            raise ValueError(
                f"group_size is {size}; estimator {self.name!r} needs at least {self.smallest}"
            )
        return int(size)

    @property
    def labels(self) -> tuple[str, ...]:
        """The fields of `Group` that its weights depend on."""
        read = self.reads
        if self.normalisation != "group" and "lengths" not in read:
            read = (*read, "lengths")
        return read


def _others(array: Any) -> Any:
    """Return for each entry of (..., G) the sum of the others."""
    return array.sum(axis=-1, keepdims=True) - array


def _minus(baseline: Callable[[Group], Any]) -> dict[str, Any]:
    """Return the fields of an estimator whose baseline does not depend on the group."""

    def advantages(group: Group) -> Any:
        return group.rewards - baseline(group)

    def pairwise(group: Group, size: int) -> Pairwise:
        own = advantages(group)
        return Pairwise(own, 0 * own)

    return {"advantages": advantages, "pairwise": pairwise}


def reinforce(baseline: float = 0.0) -> Estimator:
    """Return REINFORCE with a constant baseline."""
    return Estimator(
        name="reinforce",
        title="REINFORCE" if baseline == 0 else f"REINFORCE, baseline {baseline:g}",
        source="Williams (1992), Theorem 1",
        # A rational baseline of zero keeps Fractions what they are.
        **_minus(lambda group: baseline if baseline else 0),
    )


def _mean_pairwise(group: Group, size: int) -> Pairwise:
    share = group.rewards / size
    return Pairwise(group.rewards - share, share)


def _left_out_pairwise(group: Group, size: int) -> Pairwise:
    return Pairwise(group.rewards, group.rewards / (size - 1))


def _left_out_optimal(group: Group) -> Any:
    """Subtract the average of the other rewards, weighted by the squared norms of their scores."""
    norms = group.squared_norms
    mass = _others(norms)
    size = group.rewards.shape[-1]
    # Without a score among the others no baseline is better than another: take their mean.
    plain = _others(group.rewards) / (size - 1)
    xp = namespace(mass)
    safe = xp.where(mass > 0, mass, mass * 0 + 1)
    return group.rewards - xp.where(mass > 0, _others(norms * group.rewards) / safe, plain)


def _own_optimal(group: Group) -> Any:
    norms = group.squared_norms
    mass = norms.sum(axis=-1, keepdims=True)
    xp = namespace(mass)
    weighted = (norms * group.rewards).sum(axis=-1, keepdims=True)
    plain = group.rewards.sum(axis=-1, keepdims=True) / group.rewards.shape[-1]
    return group.rewards - xp.where(mass > 0, weighted / xp.where(mass > 0, mass, 1), plain)


def _centred(group: Group) -> Any:
    size = group.rewards.shape[-1]
    return group.rewards - group.rewards.sum(axis=-1, keepdims=True) / size


def standardised(epsilon: float = 0.0, *, bessel: bool = False) -> Callable[[Group], Any]:
    """Return the advantages (r - mean) / (std + epsilon) of a group, zero where all rewards agree.

    bessel: divide squares by G - 1 in place of G.
    """
    check_range(epsilon, "epsilon", 0.0, np.inf)

    def advantages(group: Group) -> Any:
        rewards = group.rewards
        xp = namespace(rewards)
        size = rewards.shape[-1]
        centred = _centred(group)
        squares = (centred * centred).sum(axis=-1, keepdims=True) / (size - 1 if bessel else size)
        # Equal rewards leave rounding noise in the centre, which must not be divided by itself.
        varied = rewards.max(axis=-1, keepdims=True) > rewards.min(axis=-1, keepdims=True)
        spread = xp.sqrt(xp.where(varied, squares, 1.0)) + epsilon
        return xp.where(varied, centred / spread, 0.0)

    return advantages


def _coordinate_vectors(outcomes: Outcomes) -> NDArray[Any]:
    from rltheory.analysis.estimators.baselines import coordinate_baselines

    baselines = coordinate_baselines(outcomes)[outcomes.prompt_of]
    return np.asarray((outcomes.rewards[:, None] - baselines) * outcomes.scores)


def grpo(epsilon: float = 0.0, *, bessel: bool = True) -> Estimator:
    """Return GRPO: rewards standardised within the group, each response divided by its length.

    epsilon: added to the standard deviation; bessel: whether that is the one with G - 1, as in
    the public implementations. Where all rewards of a group agree (0 / 0) advantages are zero.
    """
    return Estimator(
        name="grpo",
        title="GRPO",
        source="Shao et al. (2024), equation 3",
        advantages=standardised(epsilon, bessel=bessel),
        normalisation="response",
        gate=PPO_CLIP,
        rational=False,
        smallest=2,
    )


REINFORCE = reinforce()
MEAN = Estimator(
    name="mean",
    title="Group mean",
    source="Shao et al. (2024), equation 3 without its divisor",
    advantages=_centred,
    pairwise=_mean_pairwise,
)
LEAVE_ONE_OUT = Estimator(
    name="rloo",
    title="Leave-one-out",
    source="Kool, van Hoof and Welling (2019), equation 8; Ahmadian et al. (2024)",
    advantages=lambda group: group.rewards - _others(group.rewards) / (group.rewards.shape[-1] - 1),
    pairwise=_left_out_pairwise,
    smallest=2,
)
VALUE = Estimator(
    name="value",
    title="Exact value",
    source="Sutton et al. (1999), equation 3",
    **_minus(lambda group: group.value),
)
OPTIMAL = Estimator(
    name="optimal",
    title="Optimal baseline of the prompt",
    source="Greensmith, Bartlett and Baxter (2004), Theorem 8",
    **_minus(lambda group: group.optimal),
)
COORDINATE = Estimator(
    name="coordinate",
    title="Optimal baseline of each coordinate",
    source="Peters and Schaal (2008), equation 18",
    advantages=lambda group: group.rewards * 0 + 1,
    pairwise=lambda group, size: Pairwise(group.rewards * 0 + 1, group.rewards * 0),
    reads=(),
    vectors=_coordinate_vectors,
)
OBLR = Estimator(
    name="oblr",
    title="Estimated optimal baseline, left out",
    source="Huang, Sheng and Zheng (2025); derived",
    advantages=_left_out_optimal,
    reads=("rewards", "squared_norms"),
    smallest=2,
)
OWN_OPTIMAL = Estimator(
    name="oblr-own",
    title="Estimated optimal baseline, own sample included",
    source="Huang, Sheng and Zheng (2025); derived",
    advantages=_own_optimal,
    reads=("rewards", "squared_norms"),
)
REMAX = Estimator(
    name="remax",
    title="ReMax",
    source="Li et al. (2024), equation 6",
    **_minus(lambda group: group.greedy),
)
GRPO = grpo()
DR_GRPO = replace(
    MEAN, name="dr-grpo", title="Dr. GRPO", source="Liu et al. (2025), section 3", gate=PPO_CLIP
)
DAPO = replace(
    GRPO,
    name="dapo",
    title="DAPO's token mean",
    source="Yu et al. (2025), section 3.3",
    normalisation="token",
)
REINFORCE_PLUS_PLUS = Estimator(
    name="reinforce++",
    title="REINFORCE++",
    source="Hu (2025), equation 4",
    advantages=standardised(),
    gate=PPO_CLIP,
    scope="batch",
    rational=False,
    smallest=2,
)
GSPO = replace(
    GRPO,
    name="gspo",
    title="GSPO",
    source="Zheng et al. (2025), equation 5",
    gate=GSPO_CLIP,
    normalisation="group",
)
SAPO = replace(
    GRPO, name="sapo", title="SAPO", source="Gao et al. (2025), equation 5", gate=SAPO_GATE
)

ESTIMATORS = {
    estimator.name: estimator
    for estimator in (
        REINFORCE,
        MEAN,
        LEAVE_ONE_OUT,
        VALUE,
        OPTIMAL,
        COORDINATE,
        OBLR,
        OWN_OPTIMAL,
        REMAX,
        GRPO,
        DR_GRPO,
        DAPO,
        REINFORCE_PLUS_PLUS,
        GSPO,
        SAPO,
    )
}


def estimator_of(argument: Estimator | str) -> Estimator:
    """Return an estimator by its name, or itself. Raises ValueError for an unknown name."""
    if isinstance(argument, Estimator):
        return argument
    if argument not in ESTIMATORS:
        raise ValueError(f"estimator is {argument!r}; expected one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[argument]
