"""Finite games: exact solvers, the CFR and PSRO families, exact exploitability."""

from rltheory.games.baselines.fictitious_play import FictitiousPlayResult, fictitious_play
from rltheory.games.baselines.first_order import (
    FirstOrderResult,
    magnetic_mirror_descent,
    mirror_prox,
    optimistic_mirror_descent,
    quantal_residual,
)
from rltheory.games.best_response import (
    BestResponse,
    Deviations,
    best_response,
    deviations,
    expected_payoffs,
    exploitability,
    nash_conv,
)
from rltheory.games.exact.behaviour import (
    behaviour,
    behaviour_to_mixed,
    mixed_to_behaviour,
    normal_form,
    realisation_plan,
)
from rltheory.games.exact.certified import certified_deviations, certified_exploitability
from rltheory.games.exact.exact_form import (
    ExactDeviations,
    ExactForm,
    exact_deviations,
    exact_exploitability,
    exact_form,
    exact_nash_conv,
    exact_payoffs,
    exact_regrets,
    rationalise,
)
from rltheory.games.exact.sequence_form import (
    ExactSequenceFormSolution,
    SequenceFormSolution,
    sequence_form_nash,
)
from rltheory.games.formats import load_game, save_game
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.factored import FactoredRules, Unfolded
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.random_games import random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, Rules, TreeBuilder, build_tree
from rltheory.games.interop.efg import read_efg, write_efg
from rltheory.games.interop.gambit import from_gambit, to_gambit
from rltheory.games.interop.nfg import read_nfg, write_nfg
from rltheory.games.interop.openspiel import from_openspiel, to_openspiel
from rltheory.games.library import SUITE, game_names, load, suite_table
from rltheory.games.normal_form.correlated import (
    CorrelatedEquilibrium,
    coarse_correlated_equilibrium,
    coarse_violation,
    correlated_equilibrium,
    correlated_violation,
)
from rltheory.games.normal_form.dynamics import DYNAMICS, Dynamics
from rltheory.games.normal_form.equilibria import Equilibrium, EquilibriumSet, enumerate_equilibria
from rltheory.games.normal_form.iterative_nash import RegularisedNash, regularised_nash
from rltheory.games.normal_form.learning import LearningResult, learn, learn_against
from rltheory.games.normal_form.matrix_classics import MATRIX_GAMES
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.preference import (
    MinimaxWinner,
    Preferences,
    SelfPlay,
    borda_scores,
    condorcet_winner,
    copeland_scores,
    minimax_winner,
    self_play,
)
from rltheory.games.normal_form.zero_sum import (
    ExactZeroSumSolution,
    ZeroSumSolution,
    solve_matrix_game,
)
from rltheory.games.oracles.alpha_rank import AlphaRank, Ranking, alpha_rank
from rltheory.games.oracles.meta_solvers import (
    META_SOLVERS,
    MetaSolver,
    NashLP,
    ProjectedReplicator,
    ProjectionMatching,
    RegretMatching,
    Uniform,
)
from rltheory.games.oracles.psro import PSROResult, double_oracle, psro
from rltheory.games.oracles.shor import Shor, solve_shor
from rltheory.games.regret.cfr import CFRResult, cfr
from rltheory.games.regret.cfr_many import cfr_many
from rltheory.games.regret.cfr_run import CFRState
from rltheory.games.regret.mccfr import MCCFRResult, MCCFRState, mccfr
from rltheory.games.regret.mccfr_samples import Samples, counterfactual_regrets, mccfr_samples
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import VARIANTS, as_variant

__all__ = [
    "CHANCE",
    "DYNAMICS",
    "MATRIX_GAMES",
    "META_SOLVERS",
    "SUITE",
    "TERMINAL",
    "VARIANTS",
    "AlphaRank",
    "BestResponse",
    "CFRResult",
    "CFRState",
    "CorrelatedEquilibrium",
    "Deviations",
    "Dynamics",
    "Equilibrium",
    "EquilibriumSet",
    "ExactDeviations",
    "ExactForm",
    "ExactSequenceFormSolution",
    "ExactZeroSumSolution",
    "ExtensiveGame",
    "FactoredRules",
    "FictitiousPlayResult",
    "FirstOrderResult",
    "GameTree",
    "LearningResult",
    "MCCFRResult",
    "MCCFRState",
    "MatrixGame",
    "MetaSolver",
    "MinimaxWinner",
    "NashLP",
    "PSROResult",
    "Preferences",
    "ProjectedReplicator",
    "ProjectionMatching",
    "Ranking",
    "RegretMatching",
    "RegularisedNash",
    "Rules",
    "Samples",
    "SelfPlay",
    "SequenceFormSolution",
    "Shor",
    "TreeBuilder",
    "Unfolded",
    "Uniform",
    "Variant",
    "ZeroSumSolution",
    "alpha_rank",
    "as_variant",
    "behaviour",
    "behaviour_to_mixed",
    "best_response",
    "borda_scores",
    "build_factored",
    "build_tree",
    "certified_deviations",
    "certified_exploitability",
    "cfr",
    "cfr_many",
    "coarse_correlated_equilibrium",
    "coarse_violation",
    "condorcet_winner",
    "copeland_scores",
    "correlated_equilibrium",
    "correlated_violation",
    "counterfactual_regrets",
    "deviations",
    "double_oracle",
    "enumerate_equilibria",
    "exact_deviations",
    "exact_exploitability",
    "exact_form",
    "exact_nash_conv",
    "exact_payoffs",
    "exact_regrets",
    "expected_payoffs",
    "exploitability",
    "fictitious_play",
    "from_gambit",
    "from_openspiel",
    "from_tree",
    "game_names",
    "learn",
    "learn_against",
    "load",
    "load_game",
    "magnetic_mirror_descent",
    "mccfr",
    "mccfr_samples",
    "minimax_winner",
    "mirror_prox",
    "mixed_to_behaviour",
    "nash_conv",
    "normal_form",
    "one_shot",
    "optimistic_mirror_descent",
    "psro",
    "quantal_residual",
    "random_game",
    "rationalise",
    "read_efg",
    "read_nfg",
    "realisation_plan",
    "regularised_nash",
    "save_game",
    "self_play",
    "sequence_form_nash",
    "solve_matrix_game",
    "solve_shor",
    "suite_table",
    "to_gambit",
    "to_openspiel",
    "write_efg",
    "write_nfg",
]
