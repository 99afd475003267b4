"""Run every benchmark, print the report and write it to docs/benchmarks.md.

Exits with status 1 if a target was missed.
"""

import sys
from pathlib import Path

from benchmarks import (
    actor_critic,
    estimators,
    games,
    jax_paths,
    linear_mdp,
    mccfr,
    planning,
    psro,
    robust,
)
from benchmarks.common import machine, table, versions

PACKAGES = ["rltheory", "numpy", "scipy", "numba", "quantecon", "mdpsolver", "pymdptoolbox"]
PACKAGES += ["open_spiel", "LiteEFG", "jax"]
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"

TEMPLATE = """# Benchmarks

Written by `make bench`, everything in one run on one machine.

- Machine: {machine}
- Versions: {versions}

## Targets

{targets}

## Planning

Everyone solves the same models to {tolerance:g}. Before timing, the answers are compared with
bounds certified to a tenth of that: "error" is how far the values lie outside them, "but for a
constant" what is left when the best constant is added, as some methods stop when only a constant
is missing and leave it out. Whole solves are timed, in turn, each right after one that does not
count, and the medians given; building a model, which checks it, and compiling do not count; for us,
the certificate does.

- rltheory: `tolerance={tolerance:g}`, the width of the certified bounds of every value.
- QuantEcon: `epsilon={tolerance:g}`; its value iteration needs thousands of sweeps and is left out.
- mdpsolver: `tolerance={tolerance:g}`, all cores, 10 sweeps between improvements (its fastest).
- pymdptoolbox: `epsilon={tolerance:g}`, its input check switched off (it refuses rows that are
  off by more than ten roundings, and makes a dense S x S array of sparse ones).

The floor is the faster of two ways to read the model's bytes once: a compiled, threaded sum of
them and, where the model is dense, the BLAS product with a vector.

{planning}

## Robust planning and memory

{robust}

## Games

One iteration of CFR+ updates both players in turn and the average; one exploitability is that of
the average profile, by public calls, arguments checked. Everyone uses one thread. Before timing,
each peer's average after {warm_up} iterations must be as exploitable for us as for the peer, to
{agreement:g}.

- rltheory: runs of many iterations, their one exploitability included.
- OpenSpiel: `pyspiel.CFRPlusSolver` and `pyspiel.exploitability` (C++), from iteration
  {first} on; the first iterations take up to three times as long, as nothing is skipped yet.
- LiteEFG: its own CFR+ graph, with `update_graph` and `update_strategy` as its training loop calls
  them, and `exploitability(..., "linear-avg-iterate")`.

{games}

## Sampling

Both average and explore alike. Iterations are timed in turn on one thread; what is reached is the
median over seeds after equally many iterations, as samples differ.

{mccfr}

## Response oracles

{psro}

## Linear MDPs

The plain implementation (`benchmarks/plain_lsvi.py`) recomputes everything after every episode,
inverts the designs, and gives each factor's dual to SciPy's Nelder-Mead search, as published code
does. "off" is how far its action values are from ours on the episodes that it played: first with
all corners of the dual tried in place of the search, which must agree to {linear_agreement:g}, then
with the search. It is timed on {plain_seeds} seeds, and its seconds are scaled to all. Every policy
of our runs is evaluated exactly, which counts.

{linear}

## Policy-gradient estimators

Before timing, the moments of an estimator with a closed form are compared with a plain sum, and the
values of a learner on NumPy with those on JAX, which must agree to {estimator_agreement:g}.

{estimators}

## Actor-critics

The plain loop's values of all policies must agree with ours to {actor_critic_agreement:g}.

{actor_critic}

## JAX

Best of three, after one that does not count. Both give the same numbers up to rounding; planners
are certified on the processor in either case. See [JAX](jax.md).

{jax_paths}
"""


def main() -> int:
    """Run everything; return the exit status."""
    planning_text, planning_claims = planning.report()
    robust_text, robust_claims = robust.report()
    games_text, games_claims = games.report()
    mccfr_text, mccfr_claims = mccfr.report()
    psro_text, psro_claims = psro.report()
    linear_text, linear_claims = linear_mdp.report()
    claims = planning_claims + robust_claims + games_claims + mccfr_claims + psro_claims
    estimators_text, estimators_claims = estimators.report()
    actor_critic_text, actor_critic_claims = actor_critic.report()
    claims += linear_claims + estimators_claims + actor_critic_claims
    text = TEMPLATE.format(
        machine=machine(),
        versions=versions(PACKAGES),
        targets=table(["target", "bound", "measured", "met"], [claim.row for claim in claims]),
        tolerance=planning.TOLERANCE,
        planning=planning_text,
        robust=robust_text,
        warm_up=games.WARM_UP,
        first=games.WARM_UP + 1,
        agreement=games.AGREEMENT,
        games=games_text,
        mccfr=mccfr_text,
        psro=psro_text,
        linear_agreement=linear_mdp.AGREEMENT,
        plain_seeds=linear_mdp.Scale().plain_seeds,
        linear=linear_text,
        estimator_agreement=estimators.AGREEMENT,
        estimators=estimators_text,
        actor_critic_agreement=actor_critic.AGREEMENT,
        actor_critic=actor_critic_text,
        jax_paths=jax_paths.report(),
    )
    print(text)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
