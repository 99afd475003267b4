"""The experiments of `rltheory sweep` as a table: a run, its settings, what its curves are over.

Names of settings, and of what is chosen by name, are checked before anything runs; numbers are
checked by the solver that they are for.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rltheory.analysis.sweeps.scalars import Scalar
from rltheory.cli import experiment_runs as runs
from rltheory.cli.experiment_runs import keywords, parameters_of

Settings = Mapping[str, Scalar]

MOST_LISTED = 40
"""More names than that are not listed in an error."""


def _no_more(settings: Settings) -> dict[str, bool]:
    return {}


@dataclass(frozen=True)
class Experiment:
    """A run that a sweep can call.

    run: takes settings by keyword. axis: what its curves are over, None if it has none. choices:
    for settings that are names, a call that returns the known ones. more: from settings of known
    names, which parameters a model or an algorithm has beyond those of `run`, and whether it needs
    them.
    """

    run: Callable[..., Any]
    axis: str | None = None
    choices: Mapping[str, Callable[[], Iterable[str]]] = field(default_factory=dict)
    more: Callable[[Settings], Mapping[str, bool]] = _no_more

    @property
    def summary(self) -> str:
        """The first line of what the run says of itself."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]

    def check(self, settings: Settings) -> None:
        """Raise ValueError naming a setting that is unknown, lacks, or holds an unknown name."""
        try:
            taken = inspect.signature(self.run).parameters.values()
        except (TypeError, ValueError):
            # Some built-in functions do not say what they take.
            return
        names = keywords(self.run)
        self._check_needed(settings, names)
        for name, known in self.choices.items():
            if name in settings:
                _check_choice(name, settings[name], list(known()))
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
            if self.more is _no_more:
                return
            names |= self.more(settings)
        for name in settings:
            if name not in names:
                raise ValueError(f"{name} is no setting of this run; {nearest(name, list(names))}")
        self._check_needed(settings, names)

    def _check_needed(self, settings: Settings, names: Mapping[str, bool]) -> None:
        for name, needed in names.items():
            if needed and name not in settings:
                others = [other for other in settings if other not in names]
                near = difflib.get_close_matches(name, others, n=1)
                hint = f" (there is {near[0]})" if near else ""
                raise ValueError(f"the setting {name} is missing{hint}")


def _check_choice(name: str, given: Scalar, known: list[str]) -> None:
    if given not in known:
        raise ValueError(f"{name} is {given!r:.80}; {nearest(given, known)}")


def nearest(word: Any, known: list[str]) -> str:
    """Return what to say of a word that is not known: what may be meant, or all that is known."""
    near = difflib.get_close_matches(str(word), known, n=3)
    if near:
        return f"did you mean {_listed(near)}?"
    if len(known) > MOST_LISTED:
        return f"none of the {len(known)} known ones is like it"
    return f"expected one of {_listed(known)}" if known else "expected none"


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) if "," in name else name for name in names)


def _models() -> Iterable[str]:
    from rltheory.tabular.library import MODELS

    return MODELS


def _model(settings: Settings) -> dict[str, bool]:
    from rltheory.tabular.library import MODELS

    # A distance has no radius of its own.
    robust = settings.get("uncertainty", "none") != "none"
    return keywords(MODELS[str(settings["model"])]) | {"radius": robust}


def _games() -> Iterable[str]:
    from rltheory.games.library import SUITE, game_names

    return [*game_names(), *(entry.title for entry in SUITE)]


def _game(settings: Settings) -> dict[str, bool]:
    from rltheory.games.library import game_names, game_parameters

    # A game of the suite is one with its parameters.
    name = str(settings["game"])
    return dict.fromkeys(game_parameters(name), False) if name in game_names() else {}


def _variants() -> Iterable[str]:
    from rltheory.games.regret.variants import VARIANTS

    return VARIANTS


def _meta_solvers() -> Iterable[str]:
    from rltheory.games.oracles.meta_solvers import META_SOLVERS
    from rltheory.games.oracles.psro import ALIASES

    return [*META_SOLVERS, *ALIASES]


def _environments() -> Iterable[str]:
    from rltheory.linear_mdp import ENVIRONMENTS

    return ENVIRONMENTS


def _linear(settings: Settings) -> dict[str, bool]:
    from rltheory import linear_mdp

    robust = settings.get("uncertainty", "none") != "none"
    if robust and settings["algorithm"] == "lsvi_ucb":
        raise ValueError(f"uncertainty is {settings['uncertainty']!r}; lsvi_ucb has no adversary")
    make = linear_mdp.ENVIRONMENTS[str(settings["environment"])]
    names = parameters_of(make) | _algorithm(getattr(linear_mdp, str(settings["algorithm"])))
    return names | {"radius": robust}


def _actor_critic(settings: Settings) -> dict[str, bool]:
    from rltheory.linear_mdp import actor_critic

    make = runs.worlds()[str(settings["environment"])]
    return parameters_of(make) | _algorithm(getattr(actor_critic, str(settings["algorithm"])))


def _algorithm(learn: Callable[..., Any]) -> dict[str, bool]:
    """Return the settings of a learner, but not what it learns in, and against."""
    _, *names = keywords(learn)
    return dict.fromkeys((name for name in names if name != "uncertainty"), False)


def _families() -> Iterable[str]:
    from rltheory.analysis.estimators.comparison import FAMILIES

    return FAMILIES


def _estimators() -> Iterable[str]:
    from rltheory.analysis.estimators.weights import ESTIMATORS

    return ESTIMATORS


def _theorems() -> Iterable[str]:
    from rltheory.theory.registry import theorems

    return [theorem.id for theorem in theorems()]


def _budgets() -> Iterable[str]:
    from rltheory.theory.search import BUDGETS

    return BUDGETS


def _known(*names: str) -> Callable[[], Iterable[str]]:
    return lambda: names


def _uncertainties() -> Iterable[str]:
    from rltheory.cli.solve_mdp import SETS

    # A table has no place for a matrix of costs.
    return ["none", *(name for name in SETS if name != "wasserstein")]


EXPERIMENTS = {
    "planning": Experiment(
        runs.planning,
        choices={
            "model": _models,
            "uncertainty": _uncertainties,
            "rectangularity": _known("sa", "s"),
        },
        more=_model,
    ),
    "cfr": Experiment(
        runs.cfr, "iteration", choices={"game": _games, "variant": _variants}, more=_game
    ),
    "psro": Experiment(
        runs.psro,
        "iteration",
        choices={
            "game": _games,
            "meta_solver": _meta_solvers,
            "initial": _known("uniform", "first", "random"),
            "ties": _known("uniform", "first"),
            "repeats": _known("keep", "drop"),
        },
        more=_game,
    ),
    "linear": Experiment(
        runs.linear,
        "episode",
        choices={
            "environment": _environments,
            "algorithm": _known("lsvi_ucb", "dr_lsvi_ucb", "dr_rpo", "robust_ucb_vi"),
            "uncertainty": _known(
                "none", "tv", "kl", "chi_square",
                "penalised_tv", "penalised_kl", "penalised_chi_square",
            ),
        },
        more=_linear,
    ),
    "actor_critic": Experiment(
        runs.actor_critic,
        "episode",
        choices={
            "environment": runs.worlds,
            "algorithm": _known(
                "nora", "douhua", "optimistic_npg", "ucbvi", "rare_ucbvi", "tabular_lsvi_ucb",
                "q_learning_ucb", "q_learning_ucb_b",
            ),
        },
        more=_actor_critic,
    ),
    "estimator": Experiment(
        runs.estimator, choices={"model": _families, "estimator": _estimators}
    ),
    "verify": Experiment(runs.verify, choices={"theorem": _theorems, "budget": _budgets}),
}  # fmt: skip
