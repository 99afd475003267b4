"""PRISM's explicit files for MDPs and interval MDPs: transitions, labels, rewards.

`model.tra` lists the transitions, `model.lab` the labels, and `model.srew`, `model.trew` (or
`model1.srew`, `model2.srew`, ... for several reward structures; `.rew` is either) the rewards of
states and of transitions. Source: the PRISM manual, appendix "Explicit Model Files".
"""

import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.analysis.files import Line, read_lines, write_lines
from rltheory.tabular.explicit import (
    ExplicitModel,
    Transition,
    assemble_kernel,
    check_initial_label,
    initial_states,
    name_array,
)

Record = tuple[Line, list[str]]

_REWARD_NAME = re.compile(r'#\s*Reward structure:?\s*"([^"]+)"\s*')
_LABEL = re.compile(r'(\d+)="([^"]+)"')
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


def read_prism(
    path: str | PathLike[str],
    *,
    labels: str | PathLike[str] | None = None,
    rewards: Iterable[str | PathLike[str]] | None = None,
    rescale_within: float = 0.0,
) -> ExplicitModel:
    """Read an MDP or interval MDP from PRISM's explicit files.

    path: the `.tra` file. labels, rewards: files that belong to it; by default those beside it
    with its name. Without labels, state 0 is the initial state. A reward structure is named by
    its file's header, or else by the number in the file's name, or else "reward"; its state and
    transition rewards add up to expectations (S, A).
    rescale_within: a choice whose sum is this close to 1 is rescaled, for files written with few
    digits; by default every sum off by more than 1e-9 is refused.

    Raises OSError for a file that cannot be read; ValueError naming the file, the line and what
    was expected for a malformed or truncated one, or for a model that is not an MDP.
    """
    source = Path(path)
    states, transitions, names = _read_transitions(source)
    lower, upper, available = assemble_kernel(source, transitions, states, rescale_within)
    beside = source.with_suffix(".lab")
    if labels is None and not beside.exists():
        masks = {"init": read_only(np.arange(states) == 0)}
        initial = read_only(masks["init"].astype(np.float64))
    else:
        masks, initial = _read_labels(Path(labels or beside), states)
    found: dict[str, FloatArray] = {}
    model = ExplicitModel(
        lower, upper, available, found, masks, initial, name_array(names, available.shape)
    )
    for file in _reward_files(source) if rewards is None else map(Path, rewards):
        name, values = _read_rewards(file, model)
        found[name] = read_only(found.get(name, 0.0) + values)
    return model


def write_prism(path: str | PathLike[str], model: ExplicitModel) -> None:
    """Write a model as `path` (a `.tra` file), `.lab` and one `.trew` file for each reward.

    `read_prism` reads it back bit for bit. Raises ValueError for what the format cannot hold
    (a name that is no identifier, an initial distribution that is not uniform over the states
    labelled "init"), FileExistsError for a reward file in the way, OSError.
    """
    target = Path(path)
    for name in {*model.rewards, *model.labels, *model.action_names.flat} - {""}:
        if not _IDENTIFIER.fullmatch(name):
            raise ValueError(f"name {name!r} is no identifier, which PRISM's files expect")
    check_initial_label(model)
    numbers = [str(k) for k in range(1, len(model.rewards) + 1)] if len(model.rewards) > 1 else [""]
    files = [target.with_name(f"{target.stem}{k}.trew") for k in numbers]
    stray = [file for file in _reward_files(target) if file not in files[: len(model.rewards)]]
    if stray:
        raise FileExistsError(f"{stray[0]} would be read as a reward of {target}; remove it first")

    entries = list(model.entries())
    choices = int(model.available.sum())
    write_lines(
        target,
        [
            f"{model.states} {choices} {len(entries)}",
            *(f"{s} {a} {t} {p} {model.action_names[s, a]}".rstrip() for s, a, t, p in entries),
        ],
    )
    names = list(model.labels)
    write_lines(
        target.with_suffix(".lab"),
        [
            " ".join(f'{i}="{name}"' for i, name in enumerate(names)),
            *(
                f"{s}: " + " ".join(str(i) for i, name in enumerate(names) if model.labels[name][s])
                for s in np.flatnonzero(np.any(list(model.labels.values()), axis=0))
            ),
        ],
    )
    for file, (name, values) in zip(files, model.rewards.items(), strict=False):
        paid = [
            f"{s} {a} {t} {float(values[s, a])!r}" for s, a, t, _ in entries if values[s, a] != 0
        ]
        title = [f'# Reward structure "{name}"', "# Transition rewards"]
        write_lines(file, [*title, f"{model.states} {choices} {len(paid)}", *paid])


def _read_table(path: Path) -> tuple[Line, list[int], list[Record]]:
    """Return the line of counts, the counts, and as many records as the last count says."""
    lines = read_lines(path, "#")
    header = next(lines)
    counts = [header.integer(token, "a count") for token in header.text.split()]
    if not counts:
        raise header.error("a line of counts")
    records: list[Record] = []
    for line in lines:
        if line.text and len(records) == counts[-1]:
            raise line.error(f"the end of the file, as line {header.number} says")
        if line.text:
            records.append((line, line.text.split()))
        elif len(records) < counts[-1]:
            raise line.error(
                f"entry {len(records) + 1} of {counts[-1]}, as line {header.number} says"
            )
    return header, counts, records


def _read_transitions(path: Path) -> tuple[int, list[Transition], dict[tuple[int, int], str]]:
    header, counts, records = _read_table(path)
    if len(counts) != 3 or not 1 <= counts[0] <= counts[1] <= counts[2]:
        raise header.error(
            "the counts 'states choices transitions' of an MDP, in ascending order (a deadlock "
            "state needs a choice that returns to itself; a Markov chain has only two counts)"
        )
    states, choices, _ = counts
    transitions: list[Transition] = []
    names: dict[tuple[int, int], str] = {}
    for line, tokens in records:
        if len(tokens) not in (4, 5):
            raise line.error("'state choice successor probability [action]'")
        s = line.integer(tokens[0], "a state", states)
        a = line.integer(tokens[1], "a choice", choices)
        t = line.integer(tokens[2], "a successor", states)
        name = tokens[4] if len(tokens) == 5 else ""
        if names.setdefault((s, a), name) != name:
            raise line.error(
                f"action {names[s, a]!r}, as before for choice {a} of state {s}", repr(name)
            )
        transitions.append((line.number, s, a, t, *line.bounds(tokens[3])))
    if len(names) != choices:
        raise header.error(f"{len(names)} choices, as many as the transitions have", str(choices))
    return states, transitions, names


def _read_labels(path: Path, states: int) -> tuple[dict[str, NDArray[np.bool_]], FloatArray]:
    lines = read_lines(path, "#")
    line = next(lines)
    names: dict[int, str] = {}
    for token in line.text.split():
        match = _LABEL.fullmatch(token)
        if not match:
            raise line.error('the labels, such as 0="init" 1="deadlock"')
        names[int(match[1])] = match[2]
    masks = {name: np.zeros(states, dtype=bool) for name in [*names.values(), "init"]}
    for line in lines:
        state, colon, indices = line.text.partition(":")
        if line.text and not colon:
            raise line.error("'state: label label ...'")
        for token in indices.split():
            index = line.integer(token, "a label", max(names, default=-1) + 1)
            if index not in names:
                raise line.error(f"a label among {sorted(names)}", token)
            masks[names[index]][line.integer(state.strip(), "a state", states)] = True
    return {name: read_only(mask) for name, mask in masks.items()}, initial_states(line, masks)


def _reward_files(source: Path) -> list[Path]:
    pattern = re.compile(re.escape(source.stem) + r"(\d*)\.(?:srew|trew|rew)")
    matches = [pattern.fullmatch(file.name) for file in source.parent.iterdir()]
    numbered = sorted(
        (int(match[1] or 0), match[0])
        for match in matches
        # "grid2.trew" beside both "grid.tra" and "grid2.tra" is the reward of the latter.
        if match and not (match[1] and source.with_name(source.stem + match[1] + ".tra").exists())
    )
    return [source.with_name(name) for _, name in numbered]


def _read_rewards(path: Path, model: ExplicitModel) -> tuple[str, FloatArray]:
    header, counts, records = _read_table(path)
    choices = int(model.available.sum())
    if counts[:-1] == [model.states]:
        read = _state_rewards
    elif counts[:-1] == [model.states, choices]:
        read = _transition_rewards
    else:
        raise header.error(
            f"'{model.states} count' before state rewards or "
            f"'{model.states} {choices} count' before transition rewards"
        )
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    titled = _REWARD_NAME.fullmatch(first.rstrip())
    number = re.search(r"\d*$", path.stem)
    name = titled[1] if titled else number[0] if number and number[0] else "reward"
    return name, read(records, model)


def _state_rewards(records: list[Record], model: ExplicitModel) -> FloatArray:
    values = np.zeros(model.states)
    for line, tokens in records:
        if len(tokens) != 2:
            raise line.error("'state reward'")
        values[line.integer(tokens[0], "a state", model.states)] = line.real(tokens[1], "a reward")
    return np.where(model.available, values[:, None], 0.0)


def _transition_rewards(records: list[Record], model: ExplicitModel) -> FloatArray:
    """Average over the successors; exact where all of a choice's transitions pay the same."""
    kernel = model.lower
    sources = np.repeat(np.arange(kernel.shape[0]), np.diff(kernel.indptr))
    place = {
        key: i for i, key in enumerate(zip(sources.tolist(), kernel.indices.tolist(), strict=True))
    }
    paid = np.zeros(kernel.nnz)
    last: dict[int, Line] = {}
    for line, tokens in records:
        if len(tokens) != 4:
            raise line.error("'state choice successor reward'")
        s = line.integer(tokens[0], "a state", model.states)
        row = s * model.actions + line.integer(tokens[1], "a choice", model.actions)
        t = line.integer(tokens[2], "a successor", model.states)
        if (row, t) not in place:
            raise line.error("a transition of the model")
        paid[place[row, t]] = line.real(tokens[3], "a reward")
        last[row] = line
    values = np.zeros(kernel.shape[0])
    for row, line in last.items():
        part = slice(kernel.indptr[row], kernel.indptr[row + 1])
        if (paid[part] == paid[part][0]).all():
            values[row] = paid[part][0]
        elif model.is_interval:
            raise line.error("one reward for all successors of a choice in an interval model")
        else:
            values[row] = kernel.data[part] @ paid[part]
    return values.reshape(model.available.shape)
