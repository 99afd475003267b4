"""What an unknown name may have been meant to be."""

import difflib
from collections.abc import Sequence


def unknown_name(kind: str, name: str, known: Sequence[str], listing: str) -> str:
    """Return what to say of a name or glob that is not known: near ones, or what lists them all."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    near += [other for other in known if name.strip("*") in other and other not in near][:3]
    hint = f"did you mean {', '.join(near)}?" if near else f"`{listing}` shows all"
    return f"unknown {kind} {name!r}; {hint}"
