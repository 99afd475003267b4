"""A total-variation radius shared by the actions of a state: what randomisation is worth.

Against a shared radius the adversary must spread its budget over what the agent may do; against
a radius per action it need not. Every side is a Fraction, by the exact water level.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, instances, robust_exact, water_level
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Shared(NamedTuple):
    """An MDP, a radius per state and a vector of values (S,)."""

    mdp: DiscountedMDP
    radius: Fraction
    values: FractionArray


def twin_actions() -> Shared:
    """Return two identical actions that earn 1 and stay; state 1 earns nothing for ever."""
    transitions = np.zeros((2, 2, 2))
    transitions[0, :, 0] = transitions[1, :, 1] = 1.0
    rewards = np.array([[1.0, 1.0], [0.0, 0.0]])
    model = DiscountedMDP(transitions, rewards, 15 / 16)
    return Shared(model, Fraction(1), fractions(np.zeros(2)))


def randomisation_sides(instance: Shared) -> tuple[Side, Side]:
    """Return the best value of a deterministic policy in state 0, and that of the even mixture."""
    mdp, radius, _ = instance
    choices = robust_exact.deterministic_policies(mdp.states, mdp.actions)
    best = max(water_level.evaluate(mdp, radius, policy).values[0] for policy in choices)
    even = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    return best, water_level.evaluate(mdp, radius, even).values[0]


def _radius_per_action(instance: Shared) -> tuple[Side, Side]:
    mdp, radius, _ = instance
    own = TotalVariation(float(radius))
    choices = robust_exact.deterministic_policies(mdp.states, mdp.actions)
    best = max(robust_exact.evaluate(mdp, own, policy).values[0] for policy in choices)
    even = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    return best, robust_exact.evaluate(mdp, own, even).values[0]


RANDOMISATION = Theorem(
    id="robust/s-rectangular-needs-randomisation",
    title="Two identical actions are worth more mixed than either alone",
    source="Wiesemann, Kuhn and Rustem (2013), with a larger instance; this one is derived here",
    statement=(
        r"\max_{\pi \in A^S} \min_{P \in \mathcal{U}} V^{\pi, P}(s_0) < "
        r"\max_{\pi \in \Delta_A^S} \min_{P \in \mathcal{U}} V^{\pi, P}(s_0)"
    ),
    hypotheses=(
        r"$\mathcal{U}_s = \{P : \sum_a \mathrm{TV}(P_{s,a}, p_{s,a}) \le \rho\}$",
        "two states, two actions: state 0 stays and earns 1 under both, state 1 is absorbing; "
        r"$\rho = 1$, $\gamma = 15/16$",
    ),
    kind="separation",
    sample=lambda tape, size: twin_actions(),
    sides=randomisation_sides,
    control=Control(
        name="a radius per action",
        explanation="Every action has the radius to itself; mixing then gains nothing.",
        sides=_radius_per_action,
    ),
    sizes=(2,),
    notes=(
        r"The smallest instance there is: 1 state to decide in, 2 actions that cannot be told "
        r"apart. Any action alone is worth $1/(1-\gamma(1-\rho)) = 1$, both in turn "
        r"$1/(1-\gamma(1-\rho/2)) = 32/17$: playing $A$ equal actions divides the radius by $A$."
    ),
    sharpness=0.531,
)


def sample_shared(tape: Tape, size: int) -> Shared:
    """Draw values and an MDP whose actions are all the same in a third of the cases."""
    actions = tape.integer(2, 3)
    model = instances.mdp(tape, size, actions)
    if tape.integer(0, 2) == 0:
        same = np.repeat(model.transitions[:, :1], actions, axis=1)
        level = np.repeat(model.rewards[:, :1], actions, axis=1)
        model = model.replace(transitions=same, rewards=level)
    radius = Fraction(tape.integer(0, 16), 16)
    return Shared(model, radius, fractions(instances.values(tape, size, 0.0, 8.0)))


def saddle_sides(instance: Shared) -> tuple[Side, Side]:
    """Return what the agent's mixture secures, and what the adversary's budgets allow, (S,)."""
    return _saddle(instance, -1)


def _saddle(instance: Shared, power: int) -> tuple[Side, Side]:
    mdp, radius, values = instance
    secured, allowed = [], []
    for state in water_level.states(mdp, values):
        point = water_level.saddle(state, radius)
        policy = point.policy
        if power == 1:
            # Proportional to the rates instead of their inverses.
            inverse = [1 / weight if weight else Fraction(0) for weight in policy]
            policy = fractions(inverse) / sum(inverse)
        secured.append(water_level.spend(state, policy, radius)[0])
        allowed.append(max(water_level.lowered(state, point.budgets)))
    return fractions(secured), fractions(allowed)


MINIMAX = Theorem(
    id="robust/s-rectangular-saddle",
    title="Mixing by the inverse rates secures what the water level allows",
    source=(
        "Ho, Petrik and Wiesemann (2021); Wiesemann, Kuhn and Rustem (2013) for the minimax "
        "equality"
    ),
    statement=(
        r"\min_{\sum_a b_a \le \rho} \sum_a \pi^\star_a f_a(b_a) = \max_a f_a(b^\star_a),\qquad "
        r"f_a(b) = r_a + \gamma \min_{\mathrm{TV}(q, p_a) \le b} q \cdot v,\quad "
        r"\pi^\star_a \propto 1/|f_a'(b^\star_a)|"
    ),
    hypotheses=(
        r"$b^\star$ pushes every action down to the lowest common level that $\rho$ pays for",
        r"$\pi^\star$ mixes the actions at that level, or rests on one that cannot be pushed down",
    ),
    kind="identity",
    sample=sample_shared,
    sides=saddle_sides,
    control=Control(
        name="mixing by the rates",
        explanation="The weights are proportional to the rates instead of their inverses.",
        sides=lambda instance: _saddle(instance, 1),
    ),
    notes=(
        "Each side is computed from one player's choice alone; that they meet proves both optimal, "
        "hence the minimax equality of the backup and, by contraction, of the game."
    ),
)


def between_sides(instance: Shared) -> tuple[Side, Side]:
    """Return (backup with rho per action, shared), (shared, with rho / A per action), (2 S,)."""
    return _between(instance, Fraction(instance.mdp.actions))


def _between(instance: Shared, parts: Fraction) -> tuple[Side, Side]:
    mdp, radius, values = instance
    # Exact radii: the strips are taken here rather than from a set with a float radius.
    own, part = (_own_backup(mdp, r, values) for r in (radius, radius / parts))
    shared = water_level.shared_backup(mdp, radius, values)
    return exact.join(own, shared), exact.join(shared, part)


def _own_backup(mdp: DiscountedMDP, radius: Fraction, values: FractionArray) -> FractionArray:
    budgets = np.full(mdp.rewards.shape, radius)
    kernel = water_level.spent_kernel(mdp, budgets, values)
    return np.asarray(robust_exact.backup(mdp, kernel, values).max(axis=1))


BETWEEN = Theorem(
    id="robust/s-rectangular-between",
    title="A shared radius lies between the same radius per action and its A-th part",
    source="Derived from the inclusion of the sets and the even split; compare Ho et al. (2021)",
    statement=r"T^{sa}_{\rho} V \le T^{s}_{\rho} V \le T^{sa}_{\rho/A} V,\qquad V \in \mathbb{R}^S",
    hypotheses=(
        r"total variation; radius $\rho$ per row, shared over the $A$ actions of a state, or "
        r"$\rho/A$ per row",
    ),
    kind="inequality",
    sample=sample_shared,
    sides=between_sides,
    control=Control(
        name="one action too few",
        explanation="The radius is split over one action fewer than there are.",
        sides=lambda x: _between(x, Fraction(x.mdp.actions - 1)),
    ),
    notes=(
        r"The operators being monotone, the same holds of their fixed points: $V_{sa}(\rho) \le "
        r"V_s(\rho) \le V_{sa}(\rho/A)$. Met on the left where one action is best at any budget, "
        "on the right by identical actions."
    ),
    sharpness=0.999,
)


def sample_interior(tape: Tape, size: int) -> Shared:
    """Draw rows whose every entry exceeds the radius: positivity never binds."""
    model = instances.mdp(tape, size, tape.integer(1, 4))
    mixed = model.transitions / 2 + 1 / 16
    mixed[..., 0] += 0.5 - size / 16
    radius = Fraction(tape.integer(0, 16), 256)
    values = fractions(instances.values(tape, size, 0.0, 8.0))
    return Shared(model.replace(transitions=mixed), radius, values)


def regularised_sides(instance: Shared) -> tuple[Side, Side]:
    """Return the shared backup and the largest penalised mean of the best actions, (S,)."""
    return _regularised(instance, True)


def _regularised(instance: Shared, shared: bool) -> tuple[Side, Side]:
    mdp, radius, values = instance
    price = radius * Fraction(mdp.discount) * exact.span(values)
    sums = np.cumsum(np.sort(exact.action_values(mdp, values), axis=1)[:, ::-1], axis=1)
    counts = fractions(np.arange(1.0, mdp.actions + 1.0))
    means = (sums - price) / counts if shared else sums / counts - price
    return water_level.shared_backup(mdp, radius, values), means.max(axis=1)


REGULARISED = Theorem(
    id="robust/s-rectangular-regularises-the-policy",
    title="A shared radius regularises the policy: the best mean of the top actions, less a share",
    source=(
        "Kumar, Levy, Wang and Mannor (2022), s-rectangular case; Derman, Geist and Mannor (2021), "
        "policy regularisation"
    ),
    statement=(
        r"(T^s_\rho V)(s) = \max_{\pi \in \Delta_A} \pi \cdot Q - \gamma\rho\,\operatorname{sp}(V)"
        r"\,\|\pi\|_\infty = \max_{k \le A} \frac1k \Bigl(\sum_{i \le k} Q_{(i)} - "
        r"\gamma\rho\operatorname{sp}(V)\Bigr)"
    ),
    hypotheses=(
        r"$\mathcal{U}_s = \{P : \sum_a \mathrm{TV}(P_{s,a}, p_{s,a}) \le \rho\}$",
        r"positivity does not bind: $p(j|s,a) \ge \rho$ for all $j$",
        r"$Q_{(1)} \ge Q_{(2)} \ge \dots$ the nominal action values of $V$",
    ),
    kind="identity",
    sample=sample_interior,
    sides=regularised_sides,
    control=Control(
        name="each action pays in full",
        explanation="The penalty is not divided by the number of mixed actions, as for (s,a).",
        sides=lambda instance: _regularised(instance, False),
    ),
    notes=(
        "A simplex projection in disguise. With rows at the edge of the simplex the identity "
        "fails: the adversary runs out of mass to move."
    ),
)


THEOREMS = (RANDOMISATION, MINIMAX, BETWEEN, REGULARISED)
