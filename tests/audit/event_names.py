"""The names of all events that the code can write, read from its syntax."""

import ast
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
READERS = {"has_event", "audit", "_ask"}
"""They have an argument ``action`` too, and write nothing."""


class Modules:
    """The code below a folder: its functions that are given an event's name, and who calls them."""

    def __init__(self, folder, parameter="action", record="Event"):
        self.parameter = parameter
        self.trees = {path: ast.parse(path.read_text()) for path in Path(folder).rglob("*.py")}
        self.makers = {record: {None: 0}}
        for path, tree in self.trees.items():
            for node in (n for n in ast.walk(tree) if isinstance(n, FUNCTIONS)):
                names = [n for n in _arguments(node) if n != "self"]
                if parameter in names and node.name not in READERS:
                    places = self.makers.setdefault(node.name, {})
                    places[path] = names.index(parameter)

    def written(self):
        """The names, each with a file that writes it. One that is put together has ``*`` in it."""
        return {
            name: str(path)
            for path, tree in self.trees.items()
            for scope in (tree, *(n for n in ast.walk(tree) if isinstance(n, FUNCTIONS)))
            for call in _own(scope, ast.Call)
            for given in self._given(call, path)
            for name in _values(given, scope, tree)
        }

    def _given(self, call, path):
        name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
        places = self.makers.get(name, {})
        if not places or (name.startswith("_") and path not in places):
            return []
        index = places.get(path, next(iter(places.values())))
        named = [each.value for each in call.keywords if each.arg == self.parameter]
        return named or call.args[index : index + 1]


def _arguments(function):
    return [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]


def _own(scope, kind):
    """The nodes of a scope that are not in a function inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if isinstance(node, kind):
            yield node
        if not isinstance(node, FUNCTIONS):
            waiting += ast.iter_child_nodes(node)


def _values(node, scope, tree):
    """What an expression may be: texts, and what is assigned to its variables. A parameter is given
    by the function's callers, who are looked at themselves; what is not understood begins with ``?``.
    """
    if isinstance(node, ast.Constant):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _values(node.body, scope, tree) | _values(node.orelse, scope, tree)
    if isinstance(node, ast.JoinedStr):
        return {
            "".join(
                getattr(part, "value", "") if isinstance(part, ast.Constant) else "*"
                for part in node.values
            )
        }
    if isinstance(node, ast.Name):
        if isinstance(scope, FUNCTIONS) and node.id in _arguments(scope):
            return set()
        assigned = [
            each.value
            for where in (scope, tree)
            for each in _own(where, ast.Assign)
            if any(isinstance(t, ast.Name) and t.id == node.id for t in each.targets)
        ]
        if assigned:
            return set().union(*(_values(each, scope, tree) for each in assigned))
    return {f"?{ast.unparse(node)}"}
