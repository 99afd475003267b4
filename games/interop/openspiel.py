"""Games of OpenSpiel as `ExtensiveGame`, any finite one that names its states; and the way back.

OpenSpiel's bindings walk the game once, depth first; simultaneous moves become moves one after
another that the later players do not see, by OpenSpiel's own conversion. Information sets keep
OpenSpiel's strings as labels, actions OpenSpiel's names. Back they go as the text of an `.efg`
file, which OpenSpiel reads, and games in normal form as arrays.
Source: Lanctot et al., "OpenSpiel: A Framework for Reinforcement Learning in Games" (2019).
"""

from difflib import get_close_matches
from typing import Any

from rltheory.analysis.arrays import check_positive_integer
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.tree import TreeBuilder
from rltheory.games.interop.efg import format_efg
from rltheory.games.interop.gambit_tokens import unique_labels
from rltheory.games.normal_form.matrix_game import MatrixGame


def from_openspiel(game: Any, *, largest: int = 5_000_000) -> ExtensiveGame:
    """Return a game of OpenSpiel with all its histories.

    game: a `pyspiel.Game`, or its name with parameters as `pyspiel.load_game` takes it, such as
    "goofspiel(num_cards=4,imp_info=True)". largest: how many histories it may have.

    Raises ImportError without OpenSpiel; ValueError if the name is unknown, the game is larger, its
    chance nodes only sample, it names no information states, or a player forgets an own past
    move; TypeError if `game` is neither.
    """
    check_positive_integer(largest, "largest")
    pyspiel = _pyspiel()
    source = _sequential(pyspiel, _loaded(pyspiel, game))
    builder = TreeBuilder(source.num_players())
    stack = [(-1, 1.0, source.new_initial_state())]
    labels: list[dict[str, tuple[str, ...]]] = [{} for _ in range(builder.players)]
    count = 0
    while stack:
        parent, probability, state = stack.pop()
        count += 1
        if count > largest:
            raise ValueError(
                f"game {source} has more than {largest} histories; raise `largest` if they fit "
                "into memory"
            )
        if state.is_terminal():
            builder.leaf(parent, probability, state.returns())
            continue
        if state.is_chance_node():
            moves = state.chance_outcomes()
            node = builder.chance(parent, probability, len(moves))
        else:
            player = state.current_player()
            actions = state.legal_actions()
            moves = [(action, 1.0) for action in actions]
            information = state.information_state_string(player)
            names = labels[player].get(information)
            if names is None or len(names) != len(actions):
                names = unique_labels(state.action_to_string(player, a) for a in actions)
                labels[player][information] = names
            node = builder.decision(parent, probability, player, information, names)
        stack.extend((node, chance, state.child(action)) for action, chance in reversed(moves))
    return from_tree(builder.finish(), str(source))


def to_openspiel(game: ExtensiveGame | MatrixGame) -> Any:
    """Return a game as a `pyspiel.Game`, for OpenSpiel's own algorithms.

    A MatrixGame becomes OpenSpiel's matrix game, or tensor game unless there are two players, its
    actions named 1, 2, ...; an ExtensiveGame its `efg_game`, with the same actions and payoffs, and
    information states called player-player-number-label. `from_openspiel` gives the same tree back.

    Raises ImportError without OpenSpiel; ValueError for a game without a tree, as factored games
    are, or one that OpenSpiel refuses; TypeError for anything else.
    """
    pyspiel = _pyspiel()
    if isinstance(game, MatrixGame):
        names = [[str(a + 1) for a in range(count)] for count in game.actions]
        if game.players == 2:
            return pyspiel.create_matrix_game("game", "game", *names, *game.payoffs.tolist())
        flat = game.payoffs.reshape(game.players, -1).tolist()
        return pyspiel.create_tensor_game("game", "game", names, flat)
    if not isinstance(game, ExtensiveGame):
        raise TypeError(f"game is {game!r:.80}; expected an ExtensiveGame or a MatrixGame")
    # OpenSpiel reads no long fractions; a float's shortest decimals are read as that float.
    text = format_efg(game, number=lambda exact: repr(float(exact)))
    try:
        return pyspiel.load_efg_game(text)
    except pyspiel.SpielError as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"game {game.name} cannot be read by OpenSpiel: {first}") from None


def _pyspiel() -> Any:
    try:
        import pyspiel
    except ImportError:
        raise ImportError("OpenSpiel is missing: install rltheory[interop]") from None
    return pyspiel


def _loaded(pyspiel: Any, game: Any) -> Any:
    if isinstance(game, pyspiel.Game):
        return game
    if not isinstance(game, str):
        raise TypeError(f"game must be a pyspiel.Game or a name; got {type(game).__name__}")
    known = pyspiel.registered_names()
    name = game.partition("(")[0].strip()
    if name not in known:
        near = get_close_matches(name, known)
        raise ValueError(
            f"game {game!r} is unknown to OpenSpiel"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    try:
        return pyspiel.load_game(game)
    except pyspiel.SpielError as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"game {game!r} cannot be loaded by OpenSpiel: {first}") from None


def _sequential(pyspiel: Any, game: Any) -> Any:
    """Return the game with moves one after another; ValueError if it cannot be a finite tree."""
    kind = game.get_type()
    if kind.dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    elif kind.dynamics != pyspiel.GameType.Dynamics.SEQUENTIAL:
        raise ValueError(
            f"game {game} has dynamics {kind.dynamics}; expected sequential or simultaneous moves"
        )
    if kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
        raise ValueError(
            f"game {game} only samples its chance moves; expected their probabilities "
            "(explicit chance nodes)"
        )
    if not game.get_type().provides_information_state_string:
        raise ValueError(
            f"game {game} does not name its information states; expected one that provides "
            "information-state strings"
        )
    return game
