"""Jinja2's syntax, evaluated by us: the parser's tree turned into closures over plain data.

Only what stands here can happen: substitution, entries of mappings and lists, `if`, comparisons, logic, literals and a
given set of filters. Nothing is compiled to Python or executed, so there is nothing to sandbox, and a text costs a
fifth of what Jinja2's own compilation does. Knows nothing of slots' meaning.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from jinja2 import Environment, nodes

Values = Mapping[str, Any]
Evaluate = Callable[[Values], Any]
Filters = Mapping[str, Callable[..., Any]]
_PARSER: Final = Environment(autoescape=False, keep_trailing_newline=True)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda one, other: one in other,
    "notin": lambda one, other: one not in other,
}


class ExpressionError(ValueError):
    """The text uses what is not allowed, or a value lacks what is asked of it."""


class _Nothing:
    """What an `if` without `else` gives where it does not hold: prints as nothing, is false, and is no value."""

    def __str__(self) -> str:
        return ""

    def __bool__(self) -> bool:
        return False


NOTHING: Final = _Nothing()


def evaluator(text: str, filters: Filters, *, single: bool) -> tuple[tuple[str, ...], Evaluate]:
    """Return (the names that the text uses, its closure). With `single` the closure gives the one expression's value.

    Raises:
        ExpressionError: Something is not allowed.
        jinja2.TemplateSyntaxError: It cannot be parsed.
    """
    tree = _PARSER.parse(text)
    builder = _Builder(filters)
    if single:
        output = [node for node in tree.body if isinstance(node, nodes.Output)]
        parts = [node for node in output[0].nodes if not isinstance(node, nodes.TemplateData)] if output else []
        if len(parts) == 1:
            closure = builder.expression(parts[0])
            return tuple(sorted(builder.names)), closure
    closure = builder.body(tree.body)
    return tuple(sorted(builder.names)), closure


def entry(value: Any, part: Any) -> Any:
    """Return an entry of a mapping or list; a dot never reaches an attribute of a Python object.

    Raises:
        ExpressionError: There is none; the message names what is there.
    """
    try:
        return value[part]
    except (LookupError, TypeError):
        raise ExpressionError(f"no {part!r} here; there are: {there(value)}") from None


def there(value: Any) -> str:
    """Return the keys of a mapping, or the name of the type, for messages."""
    return ", ".join(sorted(map(str, value))[:40]) if isinstance(value, Mapping) else type(value).__name__


class _Builder:
    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.names: dict[str, None] = {}

    def body(self, parts: Sequence[nodes.Node]) -> Evaluate:
        closures = [self._statement(part) for part in parts]
        if len(closures) == 1:
            return closures[0]
        return lambda values: "".join([closure(values) for closure in closures])

    def _statement(self, node: nodes.Node) -> Evaluate:
        if isinstance(node, nodes.Output):
            pieces = [self.expression(part) for part in node.nodes]
            return lambda values: "".join([str(piece(values)) for piece in pieces])
        if isinstance(node, nodes.If):
            branches = [(self.expression(branch.test), self.body(branch.body)) for branch in (node, *node.elif_)]
            last = self.body(node.else_) if node.else_ else _empty

            def choose(values: Values) -> Any:
                for test, then in branches:
                    if test(values):
                        return then(values)
                return last(values)

            return choose
        raise self._refused(node)

    def expression(self, node: nodes.Node) -> Evaluate:
        """Return the closure of an expression."""
        match node:
            case nodes.TemplateData(data=data):
                return lambda values: data
            case nodes.Const(value=constant):
                return lambda values: constant
            case nodes.Name(name=name):
                _public(name)
                self.names[name] = None
                return lambda values: values[name]
            case nodes.Getattr(node=inner, attr=attribute):
                _public(attribute)
                return self._entry(self.expression(inner), lambda values: attribute)
            case nodes.Getitem(node=inner, arg=argument):
                if isinstance(argument, nodes.Const):
                    _public(str(argument.value))
                return self._entry(self.expression(inner), self.expression(argument))
            case nodes.Filter():
                return self._filter(node)
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                condition, first = self.expression(test), self.expression(one)
                second = self.expression(other) if other is not None else (lambda values: NOTHING)
                return lambda values: first(values) if condition(values) else second(values)
            case nodes.Compare(expr=left, ops=operands):
                return self._compare(self.expression(left), operands)
            case nodes.And(left=left, right=right):
                one_side, other_side = self.expression(left), self.expression(right)
                return lambda values: one_side(values) and other_side(values)
            case nodes.Or(left=left, right=right):
                one_side, other_side = self.expression(left), self.expression(right)
                return lambda values: one_side(values) or other_side(values)
            case nodes.Not(node=inner):
                negated = self.expression(inner)
                return lambda values: not negated(values)
            case nodes.Neg(node=inner):
                number = self.expression(inner)
                return lambda values: -number(values)
            case nodes.List(items=items) | nodes.Tuple(items=items):
                elements = [self.expression(item) for item in items]
                return lambda values: [element(values) for element in elements]
            case _:
                raise self._refused(node)

    def _entry(self, inner: Evaluate, part: Evaluate) -> Evaluate:
        return lambda values: entry(inner(values), part(values))

    def _filter(self, node: nodes.Filter) -> Evaluate:
        if node.name not in self.filters:
            raise ExpressionError(f"no filter {node.name!r}; there are {', '.join(self.filters)}")
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise self._refused(node)
        function = self.filters[node.name]
        value = self.expression(node.node)
        arguments = [self.expression(argument) for argument in node.args]
        named = {pair.key: self.expression(pair.value) for pair in cast("list[nodes.Keyword]", node.kwargs)}
        return lambda values: function(
            value(values),
            *[argument(values) for argument in arguments],
            **{key: argument(values) for key, argument in named.items()},
        )

    def _compare(self, left: Evaluate, operands: Sequence[nodes.Operand]) -> Evaluate:
        links = [(_COMPARISONS[operand.op], self.expression(operand.expr)) for operand in operands]

        def compare(values: Values) -> bool:
            one = left(values)
            for holds, right in links:
                other = right(values)
                if not holds(one, other):
                    return False
                one = other
            return True

        return compare

    def _refused(self, node: nodes.Node) -> ExpressionError:
        return ExpressionError(
            f"{type(node).__name__} is not allowed (line {node.lineno} of the text); "
            f"there are substitution, if, comparisons and the filters {', '.join(self.filters)}"
        )


def _empty(values: Values) -> str:
    return ""


def _public(name: str) -> None:
    if name.startswith("_"):
        raise ExpressionError(f"expected names that begin with a letter, found {name!r}")
