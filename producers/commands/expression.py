"""Conditions as text: `age >= 18 and (email is None or username.startswith('a'))`.

The text is a Python expression over the row's fields, with `and`, `or`, `not` or `&`, `|`, `~`. It is taken
apart here; nothing in it is run.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, NoReturn

from .attributes import Attribute, F
from .conditions import Condition
from .schema import nearest

_LONGEST = 10_000
_METHODS = (
    "like", "contains", "startswith", "endswith", "in_", "not_in", "is_", "is_not", "between", "any",
)  # fmt: skip
_CONSTANTS = {"null": None, "true": True, "false": False}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
}


def parse(text: str) -> Condition:
    """Read a condition from text; raise ValueError that says what is wrong."""
    if len(text) > _LONGEST:
        raise ValueError(f"the text of a condition has at most {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _condition(tree.body)
    except SyntaxError as error:
        message = f"no condition: {error.msg} at character {error.offset}; it looks like: age >= 18"
        raise ValueError(message) from None
    except (RecursionError, MemoryError):
        message = "conditions are nested too deep"
        raise ValueError(message) from None
    except TypeError as error:
        raise ValueError(f"no condition: {error}") from None


def _condition(node: ast.expr) -> Condition:  # noqa: PLR0911  # it is a table
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return reduce(operator.and_, map(_condition, values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return reduce(operator.or_, map(_condition, values))
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _condition(left) & _condition(right)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _condition(left) | _condition(right)
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return ~_condition(operand)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [left, *comparators]
            pairs = zip(sides, ops, comparators, strict=False)
            return reduce(operator.and_, [_comparison(*pair) for pair in pairs])
        case ast.Call(func=ast.Attribute(value=value, attr=method), args=args, keywords=[]):
            return _call(value, method, args)
        case ast.Name() | ast.Attribute():
            return _attribute(node) == True  # noqa: E712  # it makes a condition
    return _refuse(node)


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
    match op:
        case ast.In() if isinstance(right, ast.Name | ast.Attribute):
            return _attribute(right).contains(_value(left))
        case ast.In():
            return _attribute(left).in_(_value(right))
        case ast.NotIn() if isinstance(right, ast.Name | ast.Attribute):
            return ~_attribute(right).contains(_value(left))
        case ast.NotIn():
            return _attribute(left).not_in(_value(right))
    compared = _COMPARISONS[type(op)](_side(left), _side(right))
    return compared if isinstance(compared, Condition) else _refuse(left)


def _call(value: ast.expr, method: str, args: list[ast.expr]) -> Condition:
    if method not in _METHODS:
        raise ValueError(f"operator {nearest(method, _METHODS)}")
    if method == "any":
        given: list[Any] = [_condition(argument) for argument in args]
    else:
        given = [_value(argument) for argument in args]
    called: Condition = getattr(_attribute(value), method)(*given)
    return called


def _side(node: ast.expr) -> Any:
    named = isinstance(node, ast.Name | ast.Attribute) and not _is_constant(node)
    return _attribute(node) if named else _value(node)


def _attribute(node: ast.expr) -> Attribute:
    match node:
        case ast.Name(id=name) if not _is_constant(node):
            return F[name]
        case ast.Attribute(value=ast.Name(id="F"), attr=name):
            return F[name]
        case ast.Attribute(value=value, attr=name):
            return _attribute(value)[name]
    return _refuse(node)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and _is_constant(node):
        return _CONSTANTS[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _refuse(node)


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in _CONSTANTS


def _refuse(node: ast.AST) -> NoReturn:
    message = f"no condition: {ast.unparse(node)!r}; compare a field with a value, as in: age >= 18"
    raise ValueError(message)
