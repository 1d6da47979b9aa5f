"""Templates: parameters go into a tree, before layers are merged.

On the tree, never on text: ``"${param:name.path}"`` becomes the parameter with its type, or stands
in longer text; ``{"$if": cel, "then": v, "else": v}`` chooses, and is gone where it chooses nothing;
``{"$for": "x", "in": cel, "do": v}`` is the list of ``v`` for each ``x``. Expressions are CEL over
``params`` and the names of the loops around them. What stands in ``{"$literal": …}`` is left alone,
and references to other keys stay for the phase after this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from apps.engine import references, schemas
from apps.engine.errors import InvalidError, LimitError, Problem, invalid
from apps.engine.expressions import Scope, check_expression, is_variable
from apps.engine.merge import ABSENT
from apps.engine.paths import Path, find, pointer
from apps.engine.references import Parameter
from apps.engine.values import MAX_NODES, Tree, canonical

MAX_PARAMETERS: Final = 32_768
MAX_EVALUATIONS: Final = 1_000
MAX_WORK: Final = 50_000_000
MAX_MADE: Final = 4 * MAX_NODES
MAX_CHARACTERS: Final = 2**22
_SHARED: Final = ("$schema", "$id", "$defs", "definitions")
_OPEN: Final = frozenset(
    [
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "propertyNames",
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "dependentSchemas",
    ]
)
"""Keywords that may speak of properties which ``properties`` does not name."""


def check_parameters(schema: Tree) -> None:
    """Raise :class:`InvalidError` unless ``schema`` can say what parameters a template takes: a
    JSON Schema of an object, whose defaults it accepts itself.
    """
    if not isinstance(schema, dict):
        raise invalid("/parameters", "type", "'parameters' is the JSON Schema of an object.")
    try:
        schemas.check_schema(schema)
    except InvalidError as error:
        moved = [
            Problem(f"/parameters{each.pointer.removeprefix('/schema')}", each.code, each.message)
            for each in error.problems
        ]
        raise InvalidError(error.detail, moved) from error
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        raise invalid("/parameters/type", "type", "Parameters are an object.")
    properties = schema.get("properties", {})
    for name, declared in properties.items():
        if not isinstance(declared, dict) or "default" not in declared:
            continue
        alone = {key: schema[key] for key in _SHARED if key in schema}
        alone["properties"] = {name: declared}
        wrong = schemas.validate(alone, {name: declared["default"]})
        if wrong:
            place = f"/parameters{pointer(('properties', name, 'default'))}"
            raise invalid(place, "default", f"The default is not valid: {wrong[0].message}")


def filled(schema: Tree, given: Tree) -> Tree:
    """``given`` with the schema's defaults for what is absent, in objects below too.

    Raises :class:`InvalidError` with pointers into ``given``: for what the schema refuses, and
    (``parameter``) for a name that it does not know, unless it says what others may be.
    """
    if not isinstance(given, dict):
        raise invalid("", "type", "Parameters are an object.")
    if len(canonical(given)) > MAX_PARAMETERS:
        raise invalid("", "limit", f"Parameters have at most {MAX_PARAMETERS} characters.")
    values = _with_defaults(schema, given)
    problems = [
        Problem(pointer((name,)), "parameter", f"The template has no parameter '{name}'.")
        for name in given
        if _OPEN.isdisjoint(schema) and name not in schema.get("properties", {})
    ]
    problems += schemas.validate(schema, values)
    if problems:
        raise InvalidError(problems[0].message, problems)
    return values


def _with_defaults(schema: Any, given: Any) -> Any:
    if not isinstance(schema, dict) or not isinstance(given, dict):
        return given
    result = dict(given)
    for name, declared in schema.get("properties", {}).items():
        if name in result:
            result[name] = _with_defaults(declared, result[name])
        elif isinstance(declared, dict) and "default" in declared:
            result[name] = declared["default"]
    return result


def check_content(content: Tree) -> None:
    """Raise :class:`InvalidError` with the place of the first marker, expression or parameter in
    ``content`` that cannot be read, whatever the parameters are.
    """
    _check(content, (), ("params",))


def sample(schema: Tree) -> Tree:
    """Parameters to show a template by: the first example of each that has no default."""
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return {
        name: declared["examples"][0]
        for name, declared in properties.items()
        if isinstance(declared, dict) and "default" not in declared and declared.get("examples")
    }


def instantiate(content: Tree, params: Tree, making: "Making | None" = None) -> Tree:
    """``content`` with the parameters ``params`` (:func:`filled`) in it; ``making`` counts over
    several.

    Raises :class:`InvalidError` with the JSON Pointer in ``content``, and :class:`LimitError`.
    """
    making = Making() if making is None else making
    tree = making.tree(content, (), Scope({"params": params}))
    return {} if tree is ABSENT else tree


@dataclass(slots=True)
class Making:
    """Counts what templates that are laid together make, and refuses before it is too much."""

    nodes: int = 0
    characters: int = 0
    evaluations: int = 0
    work: int = 0

    def tree(self, node: Tree, path: Path, scope: Scope) -> Any:
        """The tree of ``node``, or ``ABSENT``."""
        self._count(1)
        if isinstance(node, str):
            self._count(0, len(node))
            return self._text(node, path, scope) if "${param:" in node else node
        if isinstance(node, list):
            items = (self.tree(item, (*path, i), scope) for i, item in enumerate(node))
            return [item for item in items if item is not ABSENT]
        if not isinstance(node, dict):
            return node
        if "$literal" in node:
            return self._taken(node)
        if "$if" in node:
            return self._choice(node, path, scope)
        if "$for" in node:
            return list(self._repeated(node, path, scope))
        return self._object(node, path, scope)

    def _count(self, nodes: int, characters: int = 0) -> None:
        self.nodes += nodes
        self.characters += characters
        if self.nodes > MAX_MADE or self.characters > MAX_CHARACTERS:
            raise LimitError(
                f"Templates give at most {MAX_MADE} values and {MAX_CHARACTERS} characters."
            )

    def _taken(self, value: Tree) -> Tree:
        """A parameter's value, counted each time that it is taken."""
        ahead = [value]
        while ahead:
            node = ahead.pop()
            self._count(1, len(node) if isinstance(node, str) else 0)
            if isinstance(node, (dict, list)):
                ahead.extend(node.values() if isinstance(node, dict) else node)
        return value

    def _object(self, node: dict[str, Tree], path: Path, scope: Scope) -> Tree:
        result: dict[str, Tree] = {}
        for key, child in node.items():
            value = self.tree(child, (*path, key), scope)
            if value is ABSENT:
                continue
            name = str(self._text(key, path, scope, whole=False)) if "${param:" in key else key
            if name is not key and name.startswith("$"):
                message = "A parameter may not make a member that begins with '$'."
                raise invalid(pointer(path), "parameter", message)
            if name in result:
                message = "Two members get the same name from their parameters."
                raise invalid(pointer(path), "duplicate", message)
            result[name] = value
        return result

    def _choice(self, node: dict[str, Tree], path: Path, scope: Scope) -> Any:
        _check_form(node, path)
        holds = self._value(node["$if"], (*path, "$if"), scope)
        if not isinstance(holds, bool):
            raise invalid(pointer((*path, "$if")), "expression", "'$if' needs true or false.")
        chosen = "then" if holds else "else"
        return self.tree(node[chosen], (*path, chosen), scope) if chosen in node else ABSENT

    def _repeated(self, node: dict[str, Tree], path: Path, scope: Scope) -> Iterator[Tree]:
        name = _loop(node, path, tuple(scope.variables))
        over = self._value(node["in"], (*path, "in"), scope)
        if not isinstance(over, (list, dict)):
            raise invalid(pointer((*path, "in")), "expression", "'in' needs a list or an object.")
        for item in sorted(over) if isinstance(over, dict) else over:
            made = self.tree(node["do"], (*path, "do"), scope.with_variable(name, item))
            if made is not ABSENT:
                yield made

    def _value(self, text: Any, path: Path, scope: Scope) -> Tree:
        self.evaluations += 1
        if self.evaluations > MAX_EVALUATIONS:
            raise LimitError(f"Templates evaluate at most {MAX_EVALUATIONS} expressions.")
        self.work += scope.work(text)
        if self.work > MAX_WORK:
            message = "The expressions have too much to do: give fewer, or smaller, parameters."
            raise LimitError(message, [Problem(pointer(path), LimitError.code, message)])
        try:
            return scope.value(text)
        except InvalidError as error:
            raise _placed(error, path) from error

    def _text(self, text: str, path: Path, scope: Scope, *, whole: bool = True) -> Tree:
        def value_of(parameter: Parameter) -> Tree:
            return _parameter(parameter, scope)

        try:
            parts = references.parse(text)
            if whole and references.is_whole(parts) and isinstance(parts[0], Parameter):
                return self._taken(value_of(parts[0]))
            return references.substitute(
                text, lambda each: _spelled(each, self._taken(value_of(each)))
            )
        except InvalidError as error:
            raise _placed(error, path) from error


def _parameter(parameter: Parameter, scope: Scope) -> Tree:
    """Its value: a loop's variable before a parameter of the same name."""
    name = parameter.path[0]
    is_loop = name in scope.variables and name != "params"
    found, value = find(scope.variables if is_loop else scope.variables["params"], parameter.path)
    if found:
        return value
    if parameter.default is None:
        raise invalid("", "parameter", f"The parameter '{parameter}' has no value, and no default.")
    return parameter.default.value


def _spelled(parameter: Parameter, value: Tree) -> str:
    """A value inside longer text."""
    if isinstance(value, (dict, list)):
        raise invalid(
            "", "parameter", f"'{parameter}' is no text or number: it cannot stand inside a text."
        )
    return value if isinstance(value, str) else canonical(value)


def _check(node: Tree, path: Path, names: tuple[str, ...]) -> None:
    if isinstance(node, str):
        try:
            references.parse(node)
            if "${param:" in node:
                references.substitute(node, str)
        except InvalidError as error:
            raise _placed(error, path) from error
    elif isinstance(node, list):
        for index, item in enumerate(node):
            _check(item, (*path, index), names)
    elif isinstance(node, dict) and "$literal" not in node:
        for key, inside in _children(node, path, names):
            _check(node[key], (*path, key), inside)


def _children(
    node: dict[str, Tree], path: Path, names: tuple[str, ...]
) -> list[tuple[str, tuple[str, ...]]]:
    """The members of an object that hold further content, each with the variables there."""
    if "$if" in node:
        _check_form(node, path)
        _compiled(node["$if"], (*path, "$if"), names)
        return [(key, names) for key in ("then", "else") if key in node]
    if "$for" in node:
        name = _loop(node, path, names)
        _compiled(node["in"], (*path, "in"), names)
        return [("do", (*names, name))]
    return [(key, names) for key in node]


def _compiled(text: Any, path: Path, names: tuple[str, ...]) -> None:
    try:
        check_expression(text, names)
    except InvalidError as error:
        raise _placed(error, path) from error


def _check_form(node: dict[str, Tree], path: Path) -> None:
    if not {"$if", "then"} <= node.keys() <= {"$if", "then", "else"} or not _is_text(node["$if"]):
        message = 'A choice is {"$if": "expression", "then": …, "else": …}; "else" may be absent.'
        raise invalid(pointer(path), "marker", message)


def _loop(node: dict[str, Tree], path: Path, names: tuple[str, ...]) -> str:
    """The variable of a repetition."""
    name = node["$for"]
    if node.keys() != {"$for", "in", "do"} or not _is_text(node["in"]):
        message = 'A repetition is {"$for": "name", "in": "expression", "do": …}.'
        raise invalid(pointer(path), "marker", message)
    if not isinstance(name, str) or not is_variable(name) or name in names:
        message = "'$for' names a variable that is not there yet: letters, digits and '_'."
        raise invalid(pointer((*path, "$for")), "marker", message)
    return name


def _is_text(tree: Tree) -> bool:
    return isinstance(tree, str)


def _placed(error: InvalidError, path: Path) -> InvalidError:
    problems = [
        Problem(pointer(path) + each.pointer, each.code, each.message) for each in error.problems
    ]
    return InvalidError(error.detail, problems)
