"""MDPs as programs in PRISM's language, for PRISM and Storm to check; written only.

One module has one variable s, the state, and one command for each choice. A choice keeps its name
as the command's action; choices without a name, and those that share one within a state, could not
carry rewards of their own and are named by their place, as "choice_1" in state 3.
Source: the PRISM manual, "The PRISM Language".
"""

import re
from collections import defaultdict
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.files import write_lines
from rltheory.tabular.explicit import ExplicitModel, check_initial_label

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_RESERVED = re.compile(
    "A|bool|clock|const|ctmc|C|double|dtmc|E|endinit|endinvariant|endmodule|endobservables|"
    "endrewards|endsystem|false|formula|filter|func|F|global|G|init|invariant|I|int|label|max|mdp|"
    "min|module|X|nondeterministic|observables?|of|Pmax|Pmin|P|pomdp|popta|probabilistic|prob|pta|"
    "rate|rewards|Rmax|Rmin|R|S|stochastic|system|true|U|W|s"
)
"""Words of the language, and the variable of ours."""


def write_prism_program(path: str | PathLike[str], model: ExplicitModel) -> None:
    """Write a model as a program in PRISM's language, whole or not at all.

    Raises ValueError for what a program cannot hold or this one does not: intervals, names that
    are no identifiers or mean something in the language, an initial distribution that is not
    uniform over the states labelled "init"; OSError.
    """
    write_lines(path, program(model))


def program(model: ExplicitModel) -> list[str]:
    """Return the lines of the program; errors as in `write_prism_program`."""
    if model.is_interval:
        raise ValueError("model has intervals; expected probabilities, as this program has them")
    check_initial_label(model)
    for name in {*model.labels, *model.rewards, *model.action_names.flat} - {"", "init"}:
        if not _IDENTIFIER.fullmatch(name) or _RESERVED.fullmatch(name):
            raise ValueError(f"name {str(name)!r} is no identifier that a program may use")
    if "deadlock" in model.labels and model.labels["deadlock"].any():
        raise ValueError("label 'deadlock' is PRISM's own; expected it on no state")
    names = _action_names(model)
    lines = ["mdp", "", "module model", f"  s : [0..{max(model.states - 1, 1)}];", ""]
    choices: dict[tuple[int, int], list[str]] = defaultdict(list)
    for s, a, target, probability in model.entries():
        choices[s, a].append(f"{probability}:(s'={target})")
    for (s, a), updates in choices.items():
        lines.append(f"  [{names[s, a]}] s={s} -> {' + '.join(updates)};")
    lines += ["endmodule", "", f"init {_states(model.labels['init'])} endinit"]
    for label, mask in model.labels.items():
        if label not in ("init", "deadlock"):
            lines += ["", f'label "{label}" = {_states(mask)};']
    for reward, values in model.rewards.items():
        lines += ["", f'rewards "{reward}"']
        paid = np.argwhere(values != 0.0).tolist()
        lines += [f"  [{names[s, a]}] s={s} : {float(values[s, a])!r};" for s, a in paid]
        # A structure without any reward would not be read.
        lines += ["endrewards"] if paid else ["  s=0 : 0.0;", "endrewards"]
    return lines


def _action_names(model: ExplicitModel) -> dict[tuple[int, int], str]:
    """Return names that differ within each state."""
    names: dict[tuple[int, int], str] = {}
    taken = set(model.action_names.flat)
    prefix = "choice_"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    for s in range(model.states):
        row = model.action_names[s].tolist()
        for a in np.flatnonzero(model.available[s]).tolist():
            names[s, a] = row[a] if row[a] and row.count(row[a]) == 1 else f"{prefix}{a}"
    return names


def _states(mask: NDArray[np.bool_]) -> str:
    return " | ".join(f"s={s}" for s in np.flatnonzero(mask)) or "false"
