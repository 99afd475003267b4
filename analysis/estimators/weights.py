r"""Policy-gradient estimators as weight functions: one record each, one enumeration for all.

A group holds G responses y_1 to y_G. An estimator returns sum_i w_i h(y_i): `weights` computes the
w_i from what it reads of the group (rewards, lengths, norms of scores, what is known of the
prompt), and h(y) is the score, or what a gate makes of it by the ratio and the sign of w_i.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, cast, get_args

import numpy as np

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.analysis.estimators.advantages import (
    Group,
    Pairwise,
    centred,
    fixed_baseline,
    left_out,
    left_out_optimal,
    left_out_pairwise,
    length_weighted,
    mean_pairwise,
    own_optimal,
    standardised,
    token_standardised,
)
from rltheory.analysis.estimators.baselines import coordinate_advantages
from rltheory.analysis.estimators.gates import (
    CISPO_CLIP,
    DAPO_CLIP,
    GSPO_CLIP,
    PPO_CLIP,
    SAPO_GATE,
    SEQUENCE_RATIO,
    Gate,
)
from rltheory.analysis.estimators.outcomes import Outcomes

Normalisation = Literal["group", "response", "token"]
Scope = Literal["prompt", "batch"]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """An estimator of the policy gradient from G responses to a prompt.

    advantages(group): (..., G), equivariant under a permutation of the group.
    pairwise(group, G): the same as a `Pairwise`, where it has that form, of entries taken alone.
    reads: names of the fields of `Group` that it looks at.
    normalisation: what the sum is divided by: the size of the "group", that and the length of
    each "response" (GRPO), or the number of "token"s of the group (DAPO).
    gate: off-policy weights. scope: whether a group holds responses to one "prompt" or runs
    across the "batch". rational: whether Fractions stay Fractions. smallest: the least group.
    vectors(outcomes): (n, k), replaces the gated scores where an estimator is more than a weight.
    source: author, year, place in the work.

    Raises ValueError for unknown names of fields, normalisations or scopes, TypeError if the gate
    is none.
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

    def __post_init__(self) -> None:
        for name, known in (("normalisation", Normalisation), ("scope", Scope)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected one of {get_args(known)}"
                )
        strange = set(self.reads) - set(Group._fields)
        if strange:
            raise ValueError(f"reads names {sorted(strange)}; expected names of {Group._fields}")
        if not isinstance(self.gate, Gate):
            raise TypeError(f"gate must be a Gate; got {type(self.gate).__name__}")

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


def reinforce(baseline: float | Fraction = 0.0) -> Estimator:
    """Return REINFORCE with a constant baseline, which is read as a Fraction next to Fractions.

    Raises ValueError if the baseline is not finite.
    """
    number = check_range(cast(float, baseline), "baseline", -np.inf, np.inf)
    if not np.isfinite(number):
        raise ValueError(f"baseline is {number}; expected a finite number")

    def constant(group: Group) -> Any:
        return Fraction(baseline) if group.rewards.dtype == object else number

    return Estimator(
        name="reinforce",
        title="REINFORCE" if number == 0 else f"REINFORCE, baseline {number:g}",
        source="Williams (1992), Theorem 1",
        **fixed_baseline(constant),
    )


def grpo(epsilon: float = 0.0, *, bessel: bool = True) -> Estimator:
    """Return GRPO: rewards standardised within the group, each response divided by its length.

    epsilon: added to the standard deviation; bessel: whether that is the one with G - 1, as in
    the public implementations. Where all rewards of a group agree (0 / 0) advantages are zero.
    """
    return Estimator(
        name="grpo",
        title="GRPO",
        source="Shao et al. (2024), section 4.1",
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
    source="Shao et al. (2024), without the standard deviation",
    advantages=centred,
    pairwise=mean_pairwise,
)
LEAVE_ONE_OUT = Estimator(
    name="rloo",
    title="Leave-one-out",
    source="Kool, van Hoof and Welling (2019); Ahmadian et al. (2024)",
    advantages=left_out,
    pairwise=left_out_pairwise,
    smallest=2,
)
VALUE = Estimator(
    name="value",
    title="Exact value",
    source="Sutton et al. (1999)",
    **fixed_baseline(lambda group: group.value, "value"),
)
OPTIMAL = Estimator(
    name="optimal",
    title="Optimal baseline of the prompt",
    source="Greensmith, Bartlett and Baxter (2004)",
    **fixed_baseline(lambda group: group.optimal, "optimal"),
)
COORDINATE = Estimator(
    name="coordinate",
    title="Optimal baseline of each coordinate",
    source="Peters and Schaal (2008)",
    advantages=lambda group: group.rewards * 0 + 1,
    pairwise=lambda group, size: Pairwise(group.rewards * 0 + 1, group.rewards * 0),
    reads=(),
    vectors=coordinate_advantages,
)
OBLR = Estimator(
    name="oblr",
    title="Estimated optimal baseline, left out",
    source="Huang, Sheng and Zheng (2025); derived",
    advantages=left_out_optimal,
    reads=("rewards", "squared_norms"),
    smallest=2,
)
OWN_OPTIMAL = Estimator(
    name="oblr-own",
    title="Estimated optimal baseline, own sample included",
    source="Huang, Sheng and Zheng (2025); derived",
    advantages=own_optimal,
    reads=("rewards", "squared_norms"),
)
REMAX = Estimator(
    name="remax",
    title="ReMax",
    source="Li et al. (2024)",
    **fixed_baseline(lambda group: group.greedy, "greedy"),
)
GRPO = grpo()
DR_GRPO = replace(
    MEAN, name="dr-grpo", title="Dr. GRPO", source="Liu et al. (2025), section 3", gate=PPO_CLIP
)
OPO = Estimator(
    name="opo",
    title="OPO",
    source="Hao et al. (2025)",
    advantages=length_weighted,
    reads=("rewards", "lengths"),
)
DAPO = replace(
    GRPO,
    name="dapo",
    title="DAPO",
    source="Yu et al. (2025), section 3",
    normalisation="token",
    gate=DAPO_CLIP,
)
CISPO = replace(DAPO, name="cispo", title="CISPO", source="MiniMax (2025)", gate=CISPO_CLIP)
TOKEN_AVERAGE = replace(
    DAPO,
    name="token-average",
    title="HAPO's token-level group average",
    source="Liu et al. (2025, HAPO)",
    advantages=token_standardised(),
    reads=("rewards", "lengths"),
)
REINFORCE_PLUS_PLUS = Estimator(
    name="reinforce++",
    title="REINFORCE++",
    source="Hu (2025)",
    advantages=token_standardised(),
    reads=("rewards", "lengths"),
    gate=PPO_CLIP,
    scope="batch",
    rational=False,
    smallest=2,
)
GSPO = replace(
    GRPO,
    name="gspo",
    title="GSPO",
    source="Zheng et al. (2025)",
    gate=GSPO_CLIP,
    normalisation="group",
)
SAPO = replace(GRPO, name="sapo", title="SAPO", source="Gao et al. (2025)", gate=SAPO_GATE)

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
        OPO,
        GRPO,
        DR_GRPO,
        DAPO,
        CISPO,
        TOKEN_AVERAGE,
        REINFORCE_PLUS_PLUS,
        GSPO,
        SAPO,
    )
}


def estimator_of(argument: Estimator | str) -> Estimator:
    """Return an estimator by its name, or itself.

    Raises ValueError for an unknown name, TypeError for what is no name.
    """
    if isinstance(argument, Estimator):
        return argument
    if not isinstance(argument, str):
        raise TypeError(f"estimator must be an Estimator or a name; got {type(argument).__name__}")
    if argument not in ESTIMATORS:
        raise ValueError(f"estimator is {argument!r}; expected one of {', '.join(ESTIMATORS)}")
    return ESTIMATORS[argument]
