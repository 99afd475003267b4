"""NumPy or JAX: the array module that an array belongs to, and JAX where it is asked for."""

import sys
from types import ModuleType
from typing import Any

import numpy as np

BACKENDS = ("numpy", "jax")


def jax_module(what: str = 'backend="jax"') -> ModuleType:
    """Return JAX with 64-bit floats switched on.

    Raises ImportError, naming the extra to install, if JAX is not there.
    """
    try:
        import jax
    except ImportError:
        raise ImportError(f"{what} needs JAX: pip install 'rltheory[jax]'") from None
    module: ModuleType = jax
    if not module.config.read("jax_enable_x64"):
        module.config.update("jax_enable_x64", True)
    return module


class LazyJax:
    """JAX, or a module in it, imported when something is first asked of it; see `jax_module`."""

    def __init__(self, inside: str = "") -> None:
        self._inside = inside

    def __getattr__(self, name: str) -> Any:
        module = jax_module("rltheory on JAX")
        return getattr(getattr(module, self._inside) if self._inside else module, name)


def array_module(backend: str) -> Any:
    """Return `numpy` or `jax.numpy`. Raises ValueError for any other name."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; expected one of {BACKENDS}")
    return np if backend == "numpy" else jax_module().numpy


def namespace(array: Any) -> Any:
    """Return `jax.numpy` for an array of JAX, `numpy` for any other."""
    jax = sys.modules.get("jax")
    return jax.numpy if jax is not None and isinstance(array, jax.Array) else np
