"""A static adversary, who chooses one kernel for ever: when it is as strong as a dynamic one.

Against rectangular sets it is, and IWOCS, which adds one worst kernel at a time, finds the optimum;
against a family of whole kernels both fail. The instances of failure are kept.
"""

from fractions import Fraction
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.iwocs import POLICY_STEPS, IncrementalSolution, iwocs
from rltheory.tabular.kernel_family import KernelFamily
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.rational import worst_member
from rltheory.theory import exact, instances, robust_exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_operator import Robust, draw_set, sample_robust
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_TOLERANCE = 2.0**-20


class Evaluated(NamedTuple):
    """A robust MDP and a policy (S, A)."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet
    policy: FloatArray


class Family(NamedTuple):
    """An MDP, whose initial state counts, and the kernels (K, S, A, S) that may be true."""

    mdp: DiscountedMDP
    kernels: FloatArray


def sample_evaluated(tape: Tape, size: int) -> Evaluated:
    """Draw a robust MDP with two actions and a policy, deterministic from three states on."""
    model = instances.mdp(tape, size, 2)
    uncertainty = draw_set(tape, model)
    policy = instances.policy(tape, size, 2)
    if size > 2:
        policy = np.eye(2)[policy.argmax(axis=1)]
    return Evaluated(model, uncertainty, policy)


def extreme_rows(instance: Evaluated) -> list[list[FractionArray]]:
    """Return, for every row (s, a) that the policy uses, the worst members of all orderings.

    A member of a polyhedral set is worst for some values exactly if it is worst for their order.
    """
    mdp, uncertainty, policy = instance
    orders = [fractions(np.array(order, dtype=float)) for order in permutations(range(mdp.states))]
    rows = exact.model(mdp)[0].reshape(-1, mdp.states)
    found = []
    for i, row in enumerate(rows):
        used = orders if policy.ravel()[i] > 0 else orders[:1]
        worst = {tuple(worst_member(uncertainty, order, row, i)[0]) for order in used}
        found.append([np.array(member, dtype=object) for member in sorted(worst)])
    return found


def _least(instance: Evaluated, choices: list[tuple[FractionArray, ...]]) -> FractionArray:
    """Return the least value of the policy in each state over kernels given by their rows."""
    mdp, _, policy = instance
    shape = mdp.transitions.shape
    kernels = [np.array(rows, dtype=object).reshape(shape) for rows in choices]
    found = [robust_exact.kernel_values(mdp, kernel, policy) for kernel in kernels]
    return np.asarray(np.min(np.array(found), axis=0))


def static_sides(instance: Evaluated) -> tuple[Side, Side]:
    """Return the least value over extreme kernels, state by state, and the robust value, (S,)."""
    robust = robust_exact.evaluate(*instance).values
    return _least(instance, list(product(*extreme_rows(instance)))), robust


def _one_row(instance: Evaluated) -> tuple[Side, Side]:
    nominal = list(exact.model(instance.mdp)[0].reshape(-1, instance.mdp.states))
    choices = [
        (*nominal[:i], row, *nominal[i + 1 :])
        for i, rows in enumerate(extreme_rows(instance))
        for row in rows
    ]
    return _least(instance, choices), robust_exact.evaluate(*instance).values


STATIC = Theorem(
    id="robust/static-equals-dynamic",
    title="Against rectangular sets one kernel for ever is as bad as a new one at every step",
    source="Iyengar (2005), Lemma 3.3; Nilim and El Ghaoui (2005)",
    statement=(
        r"\min_{P \in \prod \mathcal{U}_{s,a}} V^{\pi, P} = V^\pi_{\mathrm{dyn}},\qquad "
        r"V^\pi_{\mathrm{dyn}}(s) = \sum_a \pi(a|s) \bigl(r(s,a) + \gamma \min_{q \in "
        r"\mathcal{U}_{s,a}} q \cdot V^\pi_{\mathrm{dyn}}\bigr)"
    ),
    hypotheses=(
        r"$\mathcal{U} = \prod_{s,a} \mathcal{U}_{s,a}$, polyhedral; all extreme kernels tried",
        "a stationary policy, randomised on two states, deterministic on three",
    ),
    kind="identity",
    sample=sample_evaluated,
    sides=static_sides,
    control=Control(
        name="one row at a time",
        explanation="The adversary may move the row of one state and action only.",
        sides=_one_row,
    ),
    sizes=(2, 3),
    cost=3.0,
    notes="The minimum is taken state by state; that it is one kernel's value is the same claim.",
)


def coupled() -> Family:
    """Return two states that both stay put or both swap; state 0 earns 1 and comes first."""
    stay, swap = np.eye(2)[:, None, :], np.eye(2)[::-1, None, :]
    model = DiscountedMDP(stay, np.array([[1.0], [0.0]]), 1 / 2, np.array([1.0, 0.0]))
    return Family(model, np.stack([stay, swap]))


def hull_values(family: Family, policy: FloatArray) -> FractionArray:
    """Return the value (S,) of a policy when every row may come from any kernel, exactly."""
    mdp, kernels = family
    rows = np.moveaxis(kernels, 0, 2).reshape(-1, len(kernels), mdp.states)
    choices = [tuple(fractions(row) for row in rows_of) for rows_of in rows]
    return _least(Evaluated(mdp, None, policy), list(product(*choices)))  # type: ignore[arg-type]


def static_worst(family: Family, policy: FloatArray) -> Fraction:
    """Return the least value of a policy over the kernels, from the initial distribution."""
    mdp, kernels = family
    start = fractions(mdp.initial)
    found = [robust_exact.kernel_values(mdp, fractions(k), policy) for k in kernels]
    return Fraction(min(start @ values for values in found))


def coupled_sides(family: Family) -> tuple[Side, Side]:
    """Return the dynamic and the static worst case of the only policy, from state 0."""
    only = np.ones((family.mdp.states, 1))
    return fractions(family.mdp.initial) @ hull_values(family, only), static_worst(family, only)


def _uncoupled(family: Family) -> tuple[Side, Side]:
    stay, swap = family.kernels
    mixed = [np.stack([a[0], b[1]]) for a in (stay, swap) for b in (stay, swap)]
    return coupled_sides(family._replace(kernels=np.stack(mixed)))


COUPLED = Theorem(
    id="robust/static-weaker-when-coupled",
    title="Where rows are coupled, a kernel fixed for ever is weaker than one chosen anew",
    source="Nilim and El Ghaoui (2005); Wiesemann, Kuhn and Rustem (2013)",
    statement=(
        r"V_{\mathrm{dyn}}(s_0) < \min_{\theta \in \{0,1\}} V^{P_\theta}(s_0)\quad\text{for some "
        r"family } P_\theta"
    ),
    hypotheses=(
        r"the instance: $P_0$ stays, $P_1$ swaps two states; rewards 1 and 0, one action, "
        r"$\gamma = 1/2$",
        "the dynamic adversary picks a member at every step: the rectangular hull",
    ),
    kind="separation",
    sample=lambda tape, size: coupled(),
    sides=coupled_sides,
    control=Control(
        name="uncoupled rows",
        explanation="The family holds all four combinations of rows, and is then rectangular.",
        sides=_uncoupled,
    ),
    sizes=(2,),
    notes=(
        r"Static $1/(1-\gamma^2) = 4/3$, also over all mixtures $P_\theta$, $\theta \in [0,1]$; "
        "dynamic 1: it swaps once and then stays. Two states and one action are the fewest there "
        "can be."
    ),
    sharpness=0.749,
)


def incremental(instance: Robust) -> IncrementalSolution:
    """Return what IWOCS finds against the set."""
    return iwocs(instance.mdp, instance.uncertainty, tolerance=_TOLERANCE)


def incremental_sides(instance: Robust) -> tuple[Side, Side]:
    """Return (lower, V*, upper, iterations) and (V*, upper, lower + tolerance, A^S)."""
    return _incremental(instance, False)


def _incremental(instance: Robust, first: bool) -> tuple[Side, Side]:
    mdp, uncertainty = instance
    best = fractions(mdp.initial) @ robust_exact.optimum(mdp, uncertainty).values
    found = incremental(instance)
    lower, upper = Fraction(found.lower), Fraction(found.upper)
    claimed = Fraction(float(found.promised[0])) - Fraction(_TOLERANCE) if first else lower
    policies = Fraction(mdp.actions**mdp.states)
    return (
        exact.join(claimed, best, upper, Fraction(found.iterations)),
        exact.join(best, upper, lower + Fraction(_TOLERANCE), policies),
    )


def _after_one(instance: Robust) -> tuple[Side, Side]:
    return _incremental(instance, True)


INCREMENTAL = Theorem(
    id="robust/iwocs-converges",
    title="IWOCS ends, and at the robust optimum, when the set is rectangular",
    source=(
        "Zouitine, Geist and Rachelson (2024), section 4; finiteness derived here from the "
        "number of policies"
    ),
    statement=(
        r"\underline{v}_T \le V^\star_{\mathrm{dyn}}(\mu) \le \overline{v}_T \le \underline{v}_T "
        r"+ \varepsilon,\qquad T \le A^S"
    ),
    hypotheses=(
        "(s,a)-rectangular set; each policy is optimal against the rectangular hull of the kernels "
        "found",
        r"$\underline{v}_T, \overline{v}_T$: the bounds returned after $T$ policies",
    ),
    kind="inequality",
    sample=sample_robust,
    sides=incremental_sides,
    control=Control(
        name="the nominal promise",
        explanation="What the nominal kernel promises its best policy is taken for a lower bound.",
        sides=_after_one,
    ),
    sizes=(2, 3),
    cost=3.0,
    notes=r"$\varepsilon = 2^{-20}$. The optimum is exact, by robust policy iteration.",
    sharpness=0.999,
)


def deceptive() -> Family:
    """Return a family whose hull makes every policy look the same but for one small reward.

    State 0 earns 9/32 or 1/4, state 1 nothing; both kernels are deterministic.
    """
    targets = np.array([[[1, 1], [1, 0]], [[1, 0], [0, 1]]])
    kernels = np.eye(2)[targets]
    rewards = np.array([[9 / 32, 8 / 32], [0.0, 0.0]])
    model = DiscountedMDP(kernels[0], rewards, 1 / 2, np.array([1.0, 0.0]))
    return Family(model, kernels)


def deceived_sides(family: Family) -> tuple[Side, Side]:
    """Return the worst case of IWOCS's policy, the better of both steps, and of the best policy."""
    mdp, kernels = family
    policies = [iwocs(mdp, KernelFamily(kernels), policy_step=s).policy for s in POLICY_STEPS]
    choices = robust_exact.deterministic_policies(mdp.states, mdp.actions)
    return (
        max(static_worst(family, policy) for policy in policies),
        max(static_worst(family, policy) for policy in choices),
    )


def _against_the_hull(family: Family) -> tuple[Side, Side]:
    mdp, kernels = family
    start = fractions(mdp.initial)
    found = iwocs(mdp, KernelFamily(kernels)).policy
    choices = robust_exact.deterministic_policies(mdp.states, mdp.actions)
    best = max(start @ hull_values(family, policy) for policy in choices)
    return start @ hull_values(family, found), best


DECEIVED = Theorem(
    id="robust/iwocs-not-static-optimal",
    title="Without rectangularity IWOCS may end at a policy that is not the best static one",
    source="Derived here, for both policy steps of Zouitine, Geist and Rachelson (2024)",
    statement=(
        r"\min_{P \in \mathcal{P}} V^{\pi_{\mathrm{IWOCS}}, P}(\mu) < \max_{\pi \in A^S} "
        r"\min_{P \in \mathcal{P}} V^{\pi, P}(\mu)\quad\text{for some family } \mathcal{P}"
    ),
    hypotheses=(
        r"the instance: two states, two actions, two deterministic kernels, $\gamma = 1/2$",
        "policies chosen against the rectangular hull, or greedily for the least of the optimal "
        "action values",
    ),
    kind="counterexample",
    sample=lambda tape, size: deceptive(),
    sides=deceived_sides,
    control=Control(
        name="judged by the hull",
        explanation="Both policies are judged against the rectangular hull, where IWOCS is exact.",
        sides=_against_the_hull,
    ),
    sizes=(2,),
    notes=(
        "The hull sends every action to state 1 and keeps it there, so that only the first reward "
        "counts: IWOCS takes 9/32. Either kernel alone lets the second action come back: 1/3."
    ),
    sharpness=0.843,
)


THEOREMS = (STATIC, COUPLED, INCREMENTAL, DECEIVED)
