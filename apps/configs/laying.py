"""Templates as layers: which versions a list of ``extends`` lays, in order, with what parameters.

A template's own bases lie under it, each once. A lock names each layer by template, version and the parameters
that it was given, so any of them can be made again alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apps.configs.models import TemplateVersion
from apps.engine import merge, templating, values
from apps.engine.errors import InvalidError, Problem, invalid
from apps.engine.merge_keys import NO_KEYS, MergeKeys
from apps.engine.values import Tree, canonical, parse_canonical

MAX_EXTENDS: Final = 64
MAX_LAYERS: Final = 128
MAX_DEPTH: Final = 16
ROOTS: Final = ("$literal", "$secret", "$remove", "$append", "$prepend")
Newest = Callable[[str], TemplateVersion | None]
"""The newest version of the template of that name, in any case."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A template version with the parameters that it was given."""

    version: TemplateVersion
    given: Tree
    tree: Tree

    @property
    def entry(self) -> dict[str, Any]:
        """What a lock says of it."""
        named = {"template": self.version.template.slug, "version": self.version.number}
        return {**named, "with": self.given} if self.given else named

    @property
    def layer(self) -> merge.Layer:
        """It as a layer."""
        return merge.Layer(f"template:{self.version}", self.tree)


def check_extends(extends: object) -> list[dict[str, Any]]:
    """``extends`` as the contract writes it. Raises :class:`InvalidError` naming the entry."""
    if not isinstance(extends, list):
        raise invalid("/extends", "type", "'extends' is a list of {\"template\": name}.")
    if len(extends) > MAX_EXTENDS:
        raise invalid("/extends", "limit", f"At most {MAX_EXTENDS} templates can be extended.")
    return [_checked(entry, f"/extends/{index}") for index, entry in enumerate(extends)]


def _checked(entry: object, pointer: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("template"), str):
        raise invalid(pointer, "type", 'Each entry is {"template": name, "with": {…}}.')
    if set(entry) - {"template", "with"}:
        raise invalid(pointer, "unknown_member", "An entry has 'template' and 'with' alone.")
    given = entry.get("with", {})
    if not isinstance(given, dict):
        raise invalid(f"{pointer}/with", "type", "'with' is an object of parameters.")
    values.check(given)
    return {"template": entry["template"], **({"with": given} if given else {})}


def check_kept(extends: object) -> list[dict[str, Any]]:
    """The same of a draft, whose parameters may be text that is no object yet."""
    if not isinstance(extends, list):
        return check_extends(extends)
    typed = {
        index: each["with"]
        for index, each in enumerate(extends)
        if isinstance(each, dict) and isinstance(each.get("with"), str)
    }
    values.check(list(typed.values()))
    checked = check_extends(
        [
            {"template": each["template"]} if index in typed and "template" in each else each
            for index, each in enumerate(extends)
        ]
    )
    return [
        {**each, "with": typed[index]} if index in typed else each
        for index, each in enumerate(checked)
    ]


def lay(extends: Sequence[Mapping[str, Any]], newest: Newest) -> list[Laid]:
    """The layers of ``extends``, lowest first. What ``extends`` itself names is laid where it stands;
    a base of these that lies there already is not laid again.

    Raises :class:`InvalidError` with pointers below ``/extends``: for templates that are missing or
    extend themselves, for parameters that a template does not take, and for what cannot be made.
    """
    laying = _Laying(newest)
    laying.lay(extends, None, ())
    return laying.laid


def laid_again(version: TemplateVersion, given: Tree) -> Laid:
    """The layer of a version with the parameters of a lock."""
    return _made(version, given, templating.filled(parse_canonical(version.parameters), given))


def check_template(version: TemplateVersion, newest: Newest) -> None:
    """Raise :class:`InvalidError` for a version that nothing could extend.

    Its bases and expressions are checked; where its defaults and examples are enough to make it,
    what it gives is checked too.
    """
    schema, content = parse_canonical(version.parameters), parse_canonical(version.content.content)
    extends = check_extends(parse_canonical(version.extends))
    templating.check_parameters(schema)
    try:
        templating.check_content(content)
    except InvalidError as error:
        raise _moved(error, "/content") from error
    _check_bases(version.template.slug, extends, newest)
    try:
        params = templating.filled(schema, templating.sample(schema))
    except InvalidError:
        return  # it cannot be made without values that its users give
    made = _made_content(content, params)
    lay([_given(entry, params) for entry in extends], newest)
    merge.merge_layers([merge.Layer("template", made)])


def render(
    version: TemplateVersion, given: Tree, newest: Newest, merge_keys: MergeKeys = NO_KEYS
) -> Tree:
    """The merged, unresolved tree of a version with its bases. Raises :class:`InvalidError`."""
    schema = parse_canonical(version.parameters)
    try:
        params = templating.filled(schema, given)
    except InvalidError as error:
        raise _moved(error, "/with") from error
    made = _made_content(parse_canonical(version.content.content), params)
    below = lay([_given(each, params) for each in parse_canonical(version.extends)], newest)
    layers = [*(each.layer for each in below), merge.Layer("template", made)]
    return merge.merge_layers(layers, merge_keys)


class _Laying:
    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._making = templating.Making()
        self._known: set[tuple[str, str]] = set()
        self.laid: list[Laid] = []

    def lay(
        self, extends: Sequence[Mapping[str, Any]], params: Tree, within: tuple[str, ...]
    ) -> None:
        """Lay each of ``extends``, whose parameters may use ``params`` of the template around."""
        for index, entry in enumerate(extends):
            place = f"/extends/{index}"
            version = _found(entry, place, self._newest)
            slug = version.template.slug
            if slug in within:
                raise invalid(place, "cycle", f"{' → '.join((*within, slug))} extends itself.")
            if len(within) >= MAX_DEPTH or len(self.laid) >= MAX_LAYERS:
                message = f"At most {MAX_LAYERS} templates lie on each other, {MAX_DEPTH} deep."
                raise invalid(place, "limit", message)
            try:
                given = _given(entry, params, self._making).get("with", {})
                filled = templating.filled(parse_canonical(version.parameters), given)
            except InvalidError as error:
                raise _moved(error, f"{place}/with") from error
            key = (slug, canonical(filled))
            if within and key in self._known:
                continue
            self._known.add(key)
            try:
                self.lay(parse_canonical(version.extends), filled, (*within, slug))
                self.laid.append(_made(version, given, filled, self._making))
            except InvalidError as error:
                raise InvalidError(
                    f"Template {version}: {error.detail}",
                    [Problem(place, each.code, _told(version, each)) for each in error.problems],
                ) from error


def _told(version: TemplateVersion, problem: Problem) -> str:
    at = f" at {problem.pointer}" if problem.pointer else ""
    return f"Template {version}{at}: {problem.message}"


def _found(entry: Mapping[str, Any], place: str, newest: Newest) -> TemplateVersion:
    found = newest(entry["template"].lower())
    if found is None:
        message = f"There is no template '{entry['template']}'."
        raise invalid(f"{place}/template", "template", message)
    return found


def _given(
    entry: Mapping[str, Any], params: Tree, making: templating.Making | None = None
) -> dict[str, Any]:
    """An entry of a template's ``extends``, with that template's parameters in its own."""
    if params is None or "with" not in entry:
        return dict(entry)
    return {**entry, "with": templating.instantiate(entry["with"], params, making)}


def _made(
    version: TemplateVersion, given: Tree, params: Tree, making: templating.Making | None = None
) -> Laid:
    content = parse_canonical(version.content.content)
    return Laid(version, given, _object(templating.instantiate(content, params, making)))


def _object(tree: Tree) -> Tree:
    """What a template gave, which must be something that layers can lie on."""
    if not isinstance(tree, dict) or any(name in tree for name in ROOTS):
        raise invalid("", "type", "A template gives an object with members of its own.")
    return tree


def _made_content(content: Tree, params: Tree) -> Tree:
    try:
        made = _object(templating.instantiate(content, params))
    except InvalidError as error:
        raise _moved(error, "/content") from error
    values.check(made)
    return made


def _check_bases(slug: str, extends: Sequence[Mapping[str, Any]], newest: Newest) -> None:
    """Every base is there, its parameters can be read, and none leads back to ``slug``."""
    for index, entry in enumerate(extends):
        try:
            templating.check_content(entry.get("with", {}))
        except InvalidError as error:
            raise _moved(error, f"/extends/{index}/with") from error
    seen: set[str] = set()
    ahead = [(entry, f"/extends/{index}") for index, entry in enumerate(extends)]
    while ahead:
        entry, place = ahead.pop()
        found = _found(entry, place, newest)
        if found.template.slug == slug:
            raise invalid(place, "cycle", f"Template {slug} would extend itself.")
        if found.template.slug not in seen:
            seen.add(found.template.slug)
            ahead += [(below, place) for below in parse_canonical(found.extends)]


def _moved(error: InvalidError, place: str) -> InvalidError:
    return InvalidError(
        error.detail,
        [Problem(place + each.pointer, each.code, each.message) for each in error.problems],
    )
