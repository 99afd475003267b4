"""The runs that `rltheory sweep` knows by name: each calls a solver and returns a row of scalars.

A point of a curve is a result such as `regret@100`, the regret after 100 episodes. Every worker
imports this module, so that what a run needs is loaded when it is called.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.checkpoints import checkpoint_iterations

Row = dict[str, Any]

OWN_SEED = "world_seed"
"""What the seed of an environment is called, where `seed` is that of the learner."""


def planning(
    model: str,
    uncertainty: str = "none",
    radius: float | None = None,
    rectangularity: str = "sa",
    tolerance: float = 1e-8,
    **parameters: Any,
) -> Row:
    """Solve an MDP, nominal or robust: its value at the start, with certified bounds."""
    from rltheory import tabular
    from rltheory.cli.mdp_answer import Model, describe

    mdp, ball = tabular.load(model, **parameters), _ball(uncertainty, radius)
    solution: Any
    if isinstance(mdp, tabular.EpisodicMDP):
        if ball is None:
            solution = tabular.backward_induction(mdp)
        else:
            solution = tabular.robust_backward_induction(mdp, ball, rectangularity=rectangularity)
    elif ball is None:
        solution = tabular.value_iteration(mdp, tolerance=tolerance)
    else:
        solution = tabular.robust_value_iteration(
            mdp, ball, rectangularity=rectangularity, tolerance=tolerance
        )
    found = describe(Model(mdp, model), {}, "", solution, 0.0)
    start: Row = found["start"]
    return start | {key: found[key] for key in ("gap", "converged", "iterations")}


def cfr(
    game: str,
    variant: str = "vad_cfr",
    iterations: int = 1000,
    checkpoints: int = 10,
    alternating: bool = True,
    **parameters: Any,
) -> Row:
    """Run a member of the CFR family: the exact exploitability of its average."""
    from rltheory import games

    result = games.cfr(
        _game(game, parameters), variant,
        iterations=iterations, checkpoints=checkpoints, alternating=alternating,
    )  # fmt: skip
    return _curve("exploitability", result.iterations, result.exploitability)


def psro(
    game: str,
    meta_solver: str = "shor",
    iterations: int = 100,
    checkpoints: int = 10,
    initial: str = "uniform",
    seed: int | None = None,
    ties: str = "uniform",
    repeats: str = "keep",
    **parameters: Any,
) -> Row:
    """Run PSRO: the exact exploitability of its meta-strategy, and the policies it has."""
    from rltheory import games

    marks = checkpoint_iterations(checkpoints, iterations)
    options: dict[str, Any] = {"initial": initial, "seed": seed, "ties": ties, "repeats": repeats}
    result = games.psro(_game(game, parameters), meta_solver, iterations=iterations, **options)
    # It may have ended before; its last iteration is then the last point.
    last = len(result.exploitability) - 1
    kept = sorted({min(mark, last) for mark in marks})
    policies = {"policies": int(result.sizes[-1].sum()), "stopped": result.stopped}
    return policies | _curve("exploitability", kept, result.exploitability[kept])


def linear(
    environment: str,
    algorithm: str,
    episodes: int,
    seed: int,
    checkpoints: int = 10,
    ridge: float = 1.0,
    uncertainty: str = "none",
    radius: float | None = None,
    **parameters: Any,
) -> Row:
    """Learn online in a linear MDP: exact regret and suboptimality of the policies played."""
    from rltheory import linear_mdp

    make, learn = linear_mdp.ENVIRONMENTS[environment], getattr(linear_mdp, algorithm)
    world, rest = _made(make, parameters)
    ball = _ball(uncertainty, radius)
    if algorithm == "robust_ucb_vi":
        world = getattr(world, "mdp", None) or world.to_tabular()
    if ball is not None:
        rest["uncertainty"] = ball
    marks = checkpoint_iterations(checkpoints, episodes, "episodes")
    run = learn(world, episodes=episodes, seed=seed, ridge=ridge, checkpoints="all", **rest)
    after = np.array(marks)
    optimum = {"optimum": float(0.5 * (run.optimum.lower + run.optimum.upper))}
    regret = _curve("regret", after, run.regret[after - 1])
    return optimum | regret | _curve("suboptimality", after, run.suboptimality[after])


def actor_critic(
    environment: str,
    algorithm: str,
    episodes: int,
    seed: int,
    checkpoints: int = 10,
    **parameters: Any,
) -> Row:
    """Run an actor-critic or a rival in a tabular world: exact regret, switches, the optimum."""
    from rltheory.linear_mdp import actor_critic as learners

    world, rest = _made(worlds()[environment], parameters)
    marks = checkpoint_iterations(checkpoints, episodes, "episodes")
    run = getattr(learners, algorithm)(world, episodes=episodes, seed=seed, **rest)
    after = np.array(marks)
    numbers = {"optimum": run.optimum, "switches": len(run.switches)}
    return numbers | _curve("regret", after, run.regret[after - 1])


def estimator(
    model: str,
    estimator: str,
    seed: int = 0,
    spread: float = 1.0,
    drift: float = 0.0,
    group_size: int = 4,
    prompts: int = 1,
) -> Row:
    """Sum the exact moments of a policy-gradient estimator at a random point of a small model.

    spread: of the normal parameters drawn with the seed; drift: of what the parameters that drew
    the responses differ by.
    """
    from rltheory.analysis.estimators.comparison import FAMILIES
    from rltheory.analysis.estimators.moments import estimator_moments

    family, rng = FAMILIES[model](), np.random.default_rng(seed)
    point, off = rng.standard_normal((2, family.size))
    found = estimator_moments(
        family, estimator, parameters=spread * point,
        behaviour=spread * point + drift * off if drift else None,
        group_size=group_size, prompts=prompts, covariance=False,
    )  # fmt: skip
    norms = {"gradient": found.gradient, "bias": found.bias}
    return {name: float(np.linalg.norm(vector)) for name, vector in norms.items()} | {
        name: float(getattr(found, name))
        for name in ("variance", "within", "between", "second_moment", "signal_to_noise")
    }


def verify(theorem: str, budget: str = "quick", seed: int = 0) -> Row:
    """Try to refute a theorem and its control: the verdict, and how near the bound came."""
    from rltheory.theory import engine, registry

    found = engine.examine(registry.find(theorem), budget, seed)
    return {
        "verdict": found.verdict,
        "holds": found.holds,
        "margin": float(found.attempt.margin),
        "tightness": float(found.attempt.tightness),
        "instances": found.attempt.instances,
        "control_refuted": found.control_refuted,
        "reason": found.reason,
    }


def _curve(name: str, after: Iterable[int] | NDArray[Any], values: NDArray[Any]) -> Row:
    return {f"{name}@{at}": float(v) for at, v in zip(after, values, strict=True)}


def _ball(name: str, radius: float | None) -> Any:
    """Return an uncertainty set by its name on the command line, None for none."""
    if name == "none":
        if radius is not None:
            raise ValueError(f"radius is {radius!r}, but uncertainty 'none' has no radius")
        return None
    if radius is None:
        raise ValueError(f"uncertainty is {name!r}, which needs a radius")
    from rltheory.cli.solve_mdp import SETS
    from rltheory.tabular import uncertainty

    return getattr(uncertainty, SETS[name])(radius)


def _game(name: str, parameters: Row) -> Any:
    """Return a game by its name in the library, or by its title in the suite."""
    from rltheory.games.library import SUITE, load

    titled = {entry.title: entry for entry in SUITE}
    return titled[name].load() if name in titled else load(name, **parameters)


def _made(make: Callable[..., Any], parameters: Row) -> tuple[Any, Row]:
    """Return an environment made of those parameters that are its own, and the others."""
    names = parameters_of(make)
    own = {name: value for name, value in parameters.items() if name in names}
    rest = {name: value for name, value in parameters.items() if name not in own}
    if OWN_SEED in own:
        own["seed"] = own.pop(OWN_SEED)
    return make(**own), rest


def parameters_of(make: Callable[..., Any]) -> dict[str, bool]:
    """Return what an environment's parameters are called in a sweep, and whether it needs them."""
    return {OWN_SEED if name == "seed" else name: n for name, n in keywords(make).items()}


def keywords(function: Callable[..., Any]) -> dict[str, bool]:
    """Return the names that a function takes, but for **others, and whether it needs each."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.kind in kinds}


def worlds() -> dict[str, Callable[..., Any]]:
    """Return the makers of the tabular worlds that actor-critics learn in, by name."""
    from rltheory.linear_mdp.environments import actor_critic_worlds as plain
    from rltheory.linear_mdp.environments import hard_families as hard

    makers = (
        plain.two_thread_lock, plain.episodic_river, plain.block_game, plain.needle,
        hard.waiting_tree, hard.two_state_chain, hard.hypercube, hard.fine_lock,
    )  # fmt: skip
    return {make.__name__: make for make in makers}
