"""The same solvers on NumPy or compiled code and on JAX, on each device that JAX has.

Both sides run once before they count, so that compiling is not in the times; every result of JAX is
copied back, and planners are certified on the processor.
"""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rltheory import games
from rltheory.analysis import oblr_po, softmax_bandit
from rltheory.analysis.backends import jax_module
from rltheory.tabular import (
    TotalVariation,
    library,
    plan_many,
    robust_value_iteration,
    value_iteration,
)


def seconds(run: Callable[[], Any]) -> float:
    """Return the best of three runs, after one that does not count."""
    run()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def cases() -> dict[str, Callable[[str], Any]]:
    """Return what is timed, each a function of the backend."""
    large = library.load("random", states=1000, actions=8, seed=0, discount=0.99)
    small = [
        library.load("random", states=20, actions=4, seed=k, discount=0.95) for k in range(256)
    ]
    leduc = games.load("leduc_poker")
    kuhn = [games.load("kuhn_poker")] * 64
    bandit = softmax_bandit([1.0, 0.0, 0.0, 0.5])
    ball = TotalVariation(0.1)
    learning = {"steps": 200, "prompts": 8, "group_size": 4, "seeds": 64}
    cfr, many = (
        partial(run, variant="cfr_plus", iterations=1000, checkpoints=1)
        for run in (games.cfr, games.cfr_many)
    )
    return {
        "value iteration, S 1,000, A 8": lambda b: value_iteration(large, backend=b),
        "robust (TV), S 1,000, A 8": lambda b: robust_value_iteration(large, ball, backend=b),
        "256 MDPs, S 20, A 4": lambda b: plan_many(small, backend=b),
        "256 robust MDPs (TV), S 20, A 4": lambda b: plan_many(small, ball, backend=b),
        "CFR+ on Leduc, 1,000 iterations": lambda b: cfr(leduc, backend=b),
        "CFR+ on 64 Kuhn games, 1,000": lambda b: many(kuhn, backend=b),
        "OBLR-PO, 64 seeds, 200 steps": lambda b: oblr_po(
            bandit, np.zeros(4), backend=b, **learning
        ),
    }


def devices() -> list[Any]:
    """Return JAX's processor and its GPUs, if it has any."""
    jax = jax_module()
    found = list(jax.devices("cpu"))[:1]
    # JAX raises where it was installed without support for one.
    with contextlib.suppress(RuntimeError):
        found += jax.devices("gpu")
    return found


def report() -> str:
    """Return a table of times as text."""
    jax = jax_module()
    known = devices()
    names = [f"JAX, {device.platform} {device.id}" for device in known]
    lines = [
        f"| | NumPy or compiled | {' | '.join(names)} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    for title, run in cases().items():
        times = [seconds(lambda run=run: run("numpy"))]
        for device in known:
            with jax.default_device(device):
                times.append(seconds(lambda run=run: run("jax")))
        lines.append(f"| {title} | " + " | ".join(f"{t:.3f} s" for t in times) + " |")
    if len(known) == 1:
        lines.append("\nNo GPU was there to be tried.")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
