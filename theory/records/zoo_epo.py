"""EPO: what its corridor of entropies allows, what its averages are, and a claim it has dropped."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls, exact
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.zoo_empg import code_lengths, powers
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SOURCE = "Xu et al. (2025), second version"


class Walk(NamedTuple):
    """Walls of the corridor and where each step's entropy lies between them, from 0 to 1."""

    low: Fraction
    high: Fraction
    places: FractionArray


def sample_walk(tape: Tape, size: int) -> Walk:
    """Draw walls in [0, 1] and [1, 2], and places; often all at one wall."""
    low, high = Fraction(tape.integer(0, 15), 16), 1 + Fraction(tape.integer(1, 16), 16)
    places = fractions(tape.dyadic(size, 0, 1, 4))
    wall = tape.integer(0, 2)
    if wall < 2:
        places = 0 * places + wall
    return Walk(low, high, places)


def references(walk: Walk) -> tuple[FractionArray, FractionArray]:
    """Return the entropies after the first, which is 1, and the means of all before and with them.

    Both (steps,); the means are those that the next steps are held to.
    """
    total, entropies, means = Fraction(1), [], []
    for count, place in enumerate(walk.places, start=1):
        mean = total / count
        entropy = mean * (walk.low + place * (walk.high - walk.low))
        total += entropy
        entropies.append(entropy)
        means.append(total / (count + 1))
    return fractions(entropies), fractions(means)


def growth(wall: Fraction, steps: int) -> FractionArray:
    """Return prod over j = 1 to k of (j + wall) / (j + 1), for k = 1 to steps."""
    factors = [(j + wall) / (j + 1) for j in range(1, steps + 1)]
    return fractions(np.multiply.accumulate(np.array(factors, dtype=object)))


def corridor_sides(walk: Walk) -> tuple[Side, Side]:
    """Return (lower bound, mean) and (mean, upper bound) after each step."""
    _, means = references(walk)
    low, high = (growth(wall, len(means)) for wall in (walk.low, walk.high))
    return exact.join(low, means), exact.join(means, high)


def _first_wall(walk: Walk) -> tuple[Side, Side]:
    _, means = references(walk)
    return walk.low + 0 * means, means


CORRIDOR = Theorem(
    id="epo/corridor-lets-entropy-fade",
    title="Inside the corridor the mean entropy may fall to zero, as a power of time",
    source=f"{_SOURCE}, for the corridor; derived here",
    statement=(
        r"\bar H_1 \prod_{j=1}^{k-1} \frac{j+\kappa_l}{j+1} \le \bar H_{W_k} \le \bar H_1 "
        r"\prod_{j=1}^{k-1} \frac{j+\kappa_r}{j+1},\qquad \bar H_{W_k} = \tfrac1k\sum_{m\le k}\bar "
        r"H_m"
    ),
    hypotheses=(
        r"$\kappa_l \bar H_{W_k} \le \bar H_{k+1} \le \kappa_r \bar H_{W_k}$ at every step: no "
        "penalty is ever paid",
    ),
    kind="inequality",
    sample=sample_walk,
    sides=corridor_sides,
    control=Control(
        name="the walls of the first step",
        explanation=r"The mean stays above $\kappa_l$ times the first entropy.",
        sides=_first_wall,
    ),
    notes=(
        r"Both attained along the walls. The lower product is of order $k^{-(1-\kappa_l)}$, for "
        r"the default $\kappa_l = \frac12$ of order $1/\sqrt k$: the corridor moves with what it "
        "holds, and a policy may become deterministic in it."
    ),
    sizes=(3, 8, 20),
    sharpness=0.999,
)


class Replies(NamedTuple):
    """For each prefix of a tree with the end token 0, the code lengths of its policy.

    rows: those of the empty prefix, of each token that goes on, of each two.
    """

    size: int
    rows: dict[tuple[int, ...], list[int]]


def sample_replies(tape: Tape, size: int) -> Replies:
    """Draw the policy of a tree of depth 3 over `size` tokens, the first of which ends it."""
    going = range(1, size)
    prefixes = [(), *((a,) for a in going), *((a, b) for a in going for b in going)]
    return Replies(size, {prefix: code_lengths(tape, size) for prefix in prefixes})


def responses(replies: Replies) -> list[tuple[tuple[int, ...], int]]:
    """Return all responses and the sums k of their code lengths: probability 2^-k, k bits."""
    found: list[tuple[tuple[int, ...], int]] = []
    open_ones: list[tuple[tuple[int, ...], int]] = [((), 0)]
    for depth in range(3):
        grown = [
            ((*word, token), bits + replies.rows[word][token])
            for word, bits in open_ones
            for token in range(replies.size)
        ]
        found += [item for item in grown if item[0][-1] == 0 or depth == 2]
        open_ones = [item for item in grown if item[0][-1] != 0]
    return found


def _averaged(replies: Replies, *, by_token: bool) -> tuple[Side, Side]:
    """Return the entropy of responses in bits, and mean length times the mean entropy."""
    rows = {w: powers(k) @ np.array(k) for w, k in replies.rows.items()}
    whole, length, total, mean = (Fraction(0) for _ in range(4))
    for word, bits in responses(replies):
        chance = Fraction(1, 2**bits)
        met = sum(rows[word[:t]] for t in range(len(word)))
        whole += chance * bits
        length += chance * len(word)
        total += chance * met
        mean += chance * met / len(word)
    return whole, length * (total / length if by_token else mean)


def chain_sides(replies: Replies) -> tuple[Side, Side]:
    """Return the entropy of whole responses, and expected length times the token mean."""
    return _averaged(replies, by_token=True)


CHAIN = Theorem(
    id="epo/token-mean-and-response-entropy",
    title="The entropy of a response is its expected length times the mean over tokens",
    source="Cover and Thomas (2006), section 2.5, for the chain rule",
    statement=(
        r"H(y) = \mathbb{E}|y|\;\bar H,\qquad \bar H = \frac{\mathbb{E}\sum_{t\le|y|} "
        r"H(\pi(\cdot|y_{<t}))}{\mathbb{E}|y|}"
    ),
    hypotheses=(
        "responses of one to three tokens, ended by a token of their own; each token weighs alike",
        "policies are powers of two, entropies in bits: all is exact",
    ),
    kind="identity",
    sample=sample_replies,
    sides=chain_sides,
    control=Control(
        name="mean over responses",
        explanation=(
            "Each response weighs alike, a mean of the means over its tokens, as in equation 2."
        ),
        sides=lambda replies: _averaged(replies, by_token=False),
    ),
    notes="The mean that EPO regularises is not that of the response's entropy if lengths vary.",
    sizes=(4, 5),
    cost=2.0,
)


class Ascent(NamedTuple):
    """Rewards of a bandit, the step size, the bonus of the entropy, and how many steps."""

    rewards: FractionArray
    rate: Fraction
    bonus: Fraction
    steps: int


def two_arms(tape: Tape, size: int) -> Ascent:
    """Return a bandit that pays 1 and 0, a step of 1/4, a bonus of 1/128, 20 entropies."""
    return Ascent(to_fractions([1, 0]), Fraction(1, 4), Fraction(1, 128), 20)


def run(instance: Ascent) -> list[Any]:
    """Return the entropies, balls, along exact gradient steps inside the corridor."""
    logits = balls.balls(0 * instance.rewards)
    rewards, found = balls.balls(instance.rewards), []
    for _ in range(instance.steps):
        policy = balls.softmax(logits[None])[0]
        logs = balls.log(policy)
        found.append(-(policy * logs).sum())
        worth = rewards - balls.ball(instance.bonus) * logs
        # The gradient of J + bonus H by the logits is the policy times the centred worth.
        ascent = policy * (worth - (policy * worth).sum())
        logits = logits + balls.ball(instance.rate) * ascent
    return found


def _variance(numbers: list[Any]) -> Any:
    mean = sum(numbers) / len(numbers)
    return sum((x - mean) ** 2 for x in numbers) / len(numbers)


@precise
def variance_sides(instance: Ascent) -> tuple[Side, Side]:
    """Return (lower walls, entropies, variance before) and (entropies, upper walls, variance)."""
    found = run(instance)
    means = [sum(found[:k]) / k for k in range(1, len(found))]
    left = [*(m / 2 for m in means), *found[1:], _variance(found[:-1])]
    right = [*found[1:], *(3 * m / 2 for m in means), _variance(found)]
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def _unrewarded(instance: Ascent) -> tuple[Side, Side]:
    return variance_sides(instance._replace(rewards=0 * instance.rewards))


VARIANCE = Theorem(
    id="epo/entropy-variance-may-grow",
    title="The variance of the entropy over the window may grow while no penalty is paid",
    source=(
        "Xu et al. (2025), first version, whose abstract has it never grow; the second has "
        "dropped the claim; derived here"
    ),
    statement=(
        r"\exists\ \text{a run}:\quad \tfrac12\bar H_{W_k} < \bar H_k < \tfrac32 \bar H_{W_k}\ "
        r"\text{ and }\ \operatorname{Var}(\bar H_0, \ldots, \bar H_{k-1}) < \operatorname{Var}"
        r"(\bar H_0, \ldots, \bar H_k)"
    ),
    hypotheses=(
        r"the instance: two arms paying 1 and 0, exact gradient steps of size 1/4 with an "
        r"entropy bonus of $\frac1{128}$ from the uniform policy, $k = 19$",
        r"the walls are compared at every step: the penalty has no slope along the run",
    ),
    kind="counterexample",
    sample=two_arms,
    sides=variance_sides,
    control=Control(
        name="nothing to learn",
        explanation="Both arms pay nothing: the policy stays uniform, the variance zero.",
        sides=_unrewarded,
    ),
    notes=(
        "Any run whose entropy falls for good is of this kind: the window keeps where it came from."
    ),
    sharpness=0.89,
    cost=4.0,
)


THEOREMS = (CORRIDOR, CHAIN, VARIANCE)
