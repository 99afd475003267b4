"""Scalar functions with branches, rewritten so that they take arrays of JAX.

A variant of CFR is written for one action at a time. Here each choice between two values becomes
`where`, both being computed, and what a variant calls is rewritten as well. What a branch assigns
counts where both ways assign it or it had a value before.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from rltheory.analysis.backends import jax_module
from rltheory.analysis.exponential import exp_minus

Function = Callable[..., Any]


def branchless(function: Function) -> Function:
    """Return a function that does on arrays of JAX what `function` does on numbers.

    Known are assignments, conditionals, comparisons, arithmetic, indexing, and calls of max, min,
    abs, of functions of `math` and of plain functions of these kinds.
    Raises TypeError naming the function for anything else, or if its source is not to be had.
    """
    return _rewritten(function, {})


def _rewritten(function: Function, known: dict[Function, Function]) -> Function:
    if function is exp_minus:
        # On numbers it is written so that loops are vectorised.
        return lambda x, y: jax_module().numpy.exp(x - y)
    plain = getattr(function, "py_func", function)
    if plain in known:
        return known[plain]
    name = getattr(plain, "__qualname__", repr(plain))
    if not isinstance(plain, FunctionType) or plain.__closure__:
        raise TypeError(f"{name} is no plain function, which backend='jax' needs")
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    except (OSError, SyntaxError) as error:
        raise TypeError(f"{name} has no source to be read, which backend='jax' needs") from error
    (definition,) = tree.body
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"{name} is no function with a name, which backend='jax' needs")
    rewriter = _Rewriter(name)
    arguments = {argument.arg for argument in definition.args.args}
    definition.body = rewriter.block(definition.body, arguments)
    definition.decorator_list = []
    definition.returns = None
    for argument in definition.args.args:
        argument.annotation = None
    scope = _scope(plain, rewriter.names, known)
    code = compile(ast.fix_missing_locations(tree), f"<{name} on JAX>", "exec")
    exec(code, scope)
    known[plain] = scope[definition.name]
    return known[plain]


def _scope(
    function: FunctionType, names: Iterable[str], known: dict[Function, Function]
) -> dict[str, Any]:
    """The globals that a rewritten function sees."""
    numpy = jax_module().numpy
    scope: dict[str, Any] = {
        "max": numpy.maximum, "min": numpy.minimum, "abs": numpy.abs, "float": lambda x: x * 1.0,
        "_where": numpy.where, "_and": numpy.logical_and, "_or": numpy.logical_or,
        "_not": numpy.logical_not,
    }  # fmt: skip
    for name in names:
        if name in scope or name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if getattr(value, "__module__", None) == "math":
            value = getattr(numpy, value.__name__)
        elif callable(value):
            value = _rewritten(value, known)
        scope[name] = value
    return scope


class _Rewriter(ast.NodeTransformer):
    def __init__(self, name: str) -> None:
        self.name = name
        self.names: set[str] = set()
        self._count = 0

    def block(self, body: list[ast.stmt], defined: set[str]) -> list[ast.stmt]:
        """Rewrite statements in order; `defined` gets the names that have a value after them."""
        found: list[ast.stmt] = []
        for statement in body:
            if isinstance(statement, ast.If):
                found += self._choice(statement, defined)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue
            elif isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return):
                found.append(self.visit(statement))
                defined |= _assigned([statement])
            else:
                kind = type(statement).__name__
                raise TypeError(
                    f"{self.name} has a statement of the kind {kind}, which backend='jax' does "
                    "not know"
                )
        return found

    def _choice(self, statement: ast.If, defined: set[str]) -> list[ast.stmt]:
        """Both ways, one after the other, and then what of each counts."""
        if any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            raise TypeError(
                f"{self.name} returns within an if, which backend='jax' does not know: assign in "
                "it, and return after it"
            )
        self._count += 1
        mark = f"_{self._count}"
        before, then, other = set(defined), set(defined), set(defined)
        first = self.block(statement.body, then)
        second = self.block(statement.orelse, other)
        changed = sorted(_assigned(statement.body) | _assigned(statement.orelse))
        found = [_let(f"_test{mark}", self.visit(statement.test))]
        found += [_let(f"_old{mark}_{name}", _name(name)) for name in changed if name in before]
        found += first
        found += [_let(f"_then{mark}_{name}", _name(name)) for name in changed if name in then]
        found += [_let(name, _name(f"_old{mark}_{name}")) for name in changed if name in before]
        found += second
        for name in changed:
            if name in then and name in other:
                chosen = [_name(f"_test{mark}"), _name(f"_then{mark}_{name}"), _name(name)]
                found.append(_let(name, _call("_where", chosen)))
                defined.add(name)
        return found

    def visit_Name(self, node: ast.Name) -> ast.Name:
        self.names.add(node.id)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        parts = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        return _call("_where", parts)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        name = "_and" if isinstance(node.op, ast.And) else "_or"
        result, *rest = [self.visit(value) for value in node.values]
        for value in rest:
            result = _call(name, [result, value])
        return result  # type: ignore[no-any-return]

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return _call("_not", [operand])
        return ast.UnaryOp(node.op, operand)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        sides = [self.visit(side) for side in (node.left, *node.comparators)]
        pairs: list[ast.expr] = [
            ast.Compare(left, [operator], [right])
            for left, operator, right in zip(sides, node.ops, sides[1:], strict=False)
        ]
        result = pairs[0]
        for pair in pairs[1:]:
            result = _call("_and", [result, pair])
        return result


def _assigned(body: Iterable[ast.stmt]) -> set[str]:
    return {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _let(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _call(name: str, arguments: list[ast.expr]) -> ast.expr:
    return ast.Call(_name(name), arguments, [])
