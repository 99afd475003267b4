"""Storm's DRN files ("direct encoding") for MDPs and interval MDPs.

A header of `@` sections, then every state with its rewards and labels, its actions, and their
successors with a probability, or an interval of probabilities. Source: Storm's documentation,
"DRN input format".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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

_ENTRY = re.compile(
    r"(?P<kind>state|action)\s+(?P<id>\S+)(?:\s+\[(?P<rewards>.*?)\])?\s*(?P<rest>.*)"
)
_LABEL = re.compile(r'"([^"]*)"|(\S+)')
_VALUE_TYPES = ("double", "rational", "double-interval", "rational-interval")


@dataclass(frozen=True)
class _Header:
    """What the sections before `@model` say."""

    states: int
    choices: int | None
    rewards: list[str]
    placeholders: dict[str, str]

    def resolve(self, token: str) -> str:
        return self.placeholders.get(token.strip(), token.strip())

    def reward_values(self, line: Line, text: str | None) -> list[float]:
        tokens = (text or "").split(",") if text else []
        if text is not None and len(tokens) != len(self.rewards):
            raise line.error(f"{len(self.rewards)} rewards, one for each of @reward_models")
        return [line.real(self.resolve(token), "a reward") for token in tokens]


@dataclass
class _Body:
    """What has been read of the states so far; `choice` is -1 between a state and its actions."""

    state: int = -1
    choice: int = -1
    transitions: list[Transition] = field(default_factory=list)
    labels: dict[str, list[int]] = field(default_factory=lambda: {"init": []})
    names: dict[tuple[int, int], str] = field(default_factory=dict)
    state_rewards: list[list[float]] = field(default_factory=list)
    choice_rewards: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    is_complete: bool = True


def read_drn(path: str | PathLike[str], *, rescale_within: float = 0.0) -> ExplicitModel:
    """Read an MDP or interval MDP from a DRN file.

    State and action rewards add up to (S, A). Actions keep their names, but for a bare number or
    `__NOLABEL__`. Constants given as `@placeholders` are resolved.
    rescale_within: a choice whose sum is this close to 1 is rescaled, for files written with few
    digits; by default every sum off by more than 1e-9 is refused.

    Raises OSError for a file that cannot be read; ValueError naming the file, the line and what
    was expected for a malformed or truncated one, and for parametric models or other types.
    """
    source = Path(path)
    lines = read_lines(source, "//")
    header = _read_header(lines)
    body, end = _read_body(lines, header)
    lower, upper, available = assemble_kernel(
        source, body.transitions, header.states, rescale_within
    )
    masks = {name: _mask(members, header.states) for name, members in body.labels.items()}
    return ExplicitModel(
        lower,
        upper,
        available,
        _rewards(header, body, available),
        masks,
        initial_states(end, masks),
        name_array(body.names, available.shape),
    )


def write_drn(path: str | PathLike[str], model: ExplicitModel) -> None:
    """Write a model as a DRN file that `read_drn` reads back to the same numbers.

    Rewards are written with the actions; the initial distribution must be uniform over the
    states labelled "init". Raises ValueError for what the format cannot hold, OSError.
    """
    check_initial_label(model)
    for name in {*model.rewards, *model.action_names.flat}:
        if re.search(r"\s", name):
            raise ValueError(f"name {name!r} has a space, which a DRN file cannot hold")
    choices = int(model.available.sum())
    lines = [
        "@type: MDP",
        f"@value_type: {'double-interval' if model.is_interval else 'double'}",
        "@parameters",
        "",
        "@reward_models",
        " ".join(model.rewards),
        "@nr_states",
        str(model.states),
        "@nr_choices",
        str(choices),
        "@model",
    ]
    names = list(model.labels)
    place = (-1, -1)
    for s, a, target, probability in model.entries():
        if s != place[0]:
            labels = [_quoted(name) for name in names if model.labels[name][s]]
            lines.append(" ".join([f"state {s}", *labels]))
        if (s, a) != place:
            paid = ", ".join(repr(float(values[s, a])) for values in model.rewards.values())
            name = model.action_names[s, a] or str(a)
            lines.append(f"\taction {name}" + (f" [{paid}]" if paid else ""))
        place = (s, a)
        lines.append(f"\t\t{target} : {probability}")
    write_lines(path, lines)


def _read_header(lines: Iterator[Line]) -> _Header:
    sections: dict[str, list[Line]] = {}
    for line in lines:
        if line.text.startswith("@"):
            name, _, rest = line.text.partition(":")
            if name in sections:
                raise line.error(f"section {name} once")
            sections[name] = [line._replace(text=rest.strip())] if rest.strip() else []
            if name == "@model":
                break
        elif line.text and sections:
            sections[next(reversed(sections))].append(line)
        else:
            raise line.error("section @model" if sections else "a section such as '@type: MDP'")

    def only(name: str, expected: str) -> Line:
        found = sections.get(name, [])
        if len(found) != 1:
            raise line.error(f"section {name} with {expected} before @model", f"{len(found)} lines")
        return found[0]

    model_type = only("@type", "the type MDP")
    if model_type.text != "MDP":
        raise model_type.error("the type MDP")
    for value_type in sections.get("@value_type", []):
        if value_type.text not in _VALUE_TYPES:
            raise value_type.error(f"a value type among {_VALUE_TYPES}")
    for parameter in sections.get("@parameters", []):
        raise parameter.error("no parameters (a parametric model has no one solution)")
    states = only("@nr_states", "the number of states")
    choices: int | None = None
    if "@nr_choices" in sections:
        count = only("@nr_choices", "the number of choices")
        choices = count.integer(count.text, "the number of choices")
    placeholders = {}
    for entry in sections.get("@placeholders", []):
        name, colon, value = entry.text.partition(":")
        if not colon:
            raise entry.error("'$name : value'")
        placeholders[name.strip()] = value.strip()
    return _Header(
        states.integer(states.text, "the number of states"),
        choices,
        [word for entry in sections.get("@reward_models", []) for word in entry.text.split()],
        placeholders,
    )


def _read_body(lines: Iterator[Line], header: _Header) -> tuple[_Body, Line]:
    body = _Body()
    for line in lines:
        entry = _ENTRY.fullmatch(line.text)
        if (entry or not line.text) and not body.is_complete:
            raise line.error("a successor, 'state : probability', of the action before")
        if entry and entry["kind"] == "state":
            _read_state(line, entry, header, body)
        elif entry:
            _read_action(line, entry, header, body)
        elif line.text:
            _read_successor(line, header, body)
    if body.state + 1 != header.states:
        raise line.error(f"state {body.state + 1} of {header.states}")
    if header.choices not in (None, len(body.names)):
        raise line.error(f"{header.choices} actions, as @nr_choices says", str(len(body.names)))
    return body, line


def _read_state(line: Line, entry: re.Match[str], header: _Header, body: _Body) -> None:
    number = line.integer(entry["id"], "a state", header.states)
    if number != body.state + 1:
        raise line.error(f"state {body.state + 1}, as states are numbered in order")
    body.state, body.choice = number, -1
    body.state_rewards.append(header.reward_values(line, entry["rewards"]))
    for quoted, bare in _LABEL.findall(entry["rest"]):
        body.labels.setdefault(quoted or bare, []).append(number)


def _read_action(line: Line, entry: re.Match[str], header: _Header, body: _Body) -> None:
    if body.state < 0:
        raise line.error("a state before its actions")
    body.choice += 1
    place = (body.state, body.choice)
    name = entry["id"].strip("{}")
    body.names[place] = "" if name.isdigit() or name == "__NOLABEL__" else name
    body.choice_rewards[place] = header.reward_values(line, entry["rewards"])
    body.is_complete = False


def _read_successor(line: Line, header: _Header, body: _Body) -> None:
    target, colon, probability = line.text.partition(":")
    if not colon:
        raise line.error("'state ID ...', 'action ID ...' or 'successor : probability'")
    if body.choice < 0:
        raise line.error("a state and an action before their successors")
    successor = line.integer(target.strip(), "a successor", header.states)
    bounds = line.bounds(header.resolve(probability))
    body.transitions.append((line.number, body.state, body.choice, successor, *bounds))
    body.is_complete = True


def _rewards(header: _Header, body: _Body, available: NDArray[np.bool_]) -> dict[str, FloatArray]:
    totals = np.zeros((len(header.rewards), *available.shape))
    for s, values in enumerate(body.state_rewards):
        if values:
            totals[:, s, :] += np.array(values)[:, None]
    for (s, a), values in body.choice_rewards.items():
        if values:
            totals[:, s, a] += values
    return {
        name: read_only(np.where(available, total, 0.0))
        for name, total in zip(header.rewards, totals, strict=True)
    }


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"\s", name) else name


def _mask(members: list[int], states: int) -> NDArray[np.bool_]:
    mask = np.zeros(states, dtype=bool)
    mask[members] = True
    return read_only(mask)
