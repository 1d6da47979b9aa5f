"""Our own folder tree: what an export writes, and an import reads back to the same.

``configsvc.yaml`` tells the format; ``environments.yaml`` and ``rules.yaml`` hold lists;
``templates/SLUG.yaml`` the newest version of each; ``services/SLUG/_service.yaml`` the members of a
service with its sections and, by environment, the format of the text beside it and what that extends.
Texts are kept byte for byte. Secrets are in it by their names in documents alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apps.engine import formats
from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.reading import Files, parsed
from apps.engine.values import Tree

FORMAT: Final = 1
MANIFEST: Final = "configsvc.yaml"
ENVIRONMENTS: Final = "environments.yaml"
RULES: Final = "rules.yaml"
SERVICE: Final = "_service.yaml"  # no environment is called so


@dataclass(frozen=True, slots=True)
class Text:
    """A source text of an environment, with what it extends."""

    content: bytes
    format: str
    extends: list[dict[str, Any]]
    file: str


@dataclass(frozen=True, slots=True)
class ServicePart:
    """A service: its members, its sections by key, and its texts by environment."""

    members: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, Text]
    file: str


@dataclass(slots=True)
class Installation:
    """What a tree holds. Members are as the contract writes them."""

    environments: list[dict[str, Any]] = field(default_factory=list)
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    services: dict[str, ServicePart] = field(default_factory=dict)


def write(installation: Installation) -> dict[str, bytes]:
    """The files of the tree, by path."""
    files = {
        MANIFEST: _yaml({"format": FORMAT}),
        ENVIRONMENTS: _yaml({"environments": installation.environments}),
        RULES: _yaml({"rules": installation.rules}),
    }
    for slug, template in installation.templates.items():
        files[f"templates/{slug}.yaml"] = _yaml(template)
    for slug, part in installation.services.items():
        configurations = {
            name: {"format": text.format, "extends": text.extends}
            for name, text in part.texts.items()
        }
        whole = {**part.members, "sections": part.sections, "configurations": configurations}
        files[f"services/{slug}/{SERVICE}"] = _yaml(whole)
        for name, text in part.texts.items():
            files[f"services/{slug}/{name}.{text.format}"] = text.content
    return files


def read(files: Files) -> Installation:
    """The tree in ``files``, which may lie in one folder. Raises :class:`MalformedError` naming the
    file of what is not as :func:`write` writes it.
    """
    files = _without_root(files)
    manifest = _object(files, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise _wrong(MANIFEST, "/format", f"This program reads format {FORMAT}.")
    found = Installation(
        environments=_list(files, ENVIRONMENTS, "environments"), rules=_list(files, RULES, "rules")
    )
    for path in sorted(files):
        folder, _slash, name = path.partition("/")
        if folder == "templates" and name.endswith(".yaml"):
            found.templates[name.removesuffix(".yaml")] = _object(files, path)
        elif folder == "services" and name.endswith(f"/{SERVICE}"):
            found.services[name.removesuffix(f"/{SERVICE}")] = _service(files, path)
    return found


def _service(files: Files, path: str) -> ServicePart:
    members = dict(_object(files, path))
    sections = _members(members.pop("sections", {}), path, "/sections")
    texts = {}
    for name, each in _members(members.pop("configurations", {}), path, "/configurations").items():
        given = each.get("format")
        file = f"{path.removesuffix(SERVICE)}{name}.{given}"
        if given not in formats.FORMATS or file not in files:
            raise _wrong(path, f"/configurations/{name}", "Its text is not beside this file.")
        extends = each.get("extends", [])
        texts[name] = Text(files[file], str(given), extends, file)
    return ServicePart(members, sections, texts, path)


def _without_root(files: Files) -> Files:
    """The files below the one folder that holds all of them, where there is one."""
    roots = [path for path in files if path.rpartition("/")[2] == MANIFEST]
    if not roots:
        raise _wrong(MANIFEST, "", "There is no such file: is this an export?")
    root = min(roots, key=len).removesuffix(MANIFEST)
    return {path.removeprefix(root): each for path, each in files.items() if path.startswith(root)}


def _object(files: Files, path: str) -> dict[str, Any]:
    if path not in files:
        return {}
    try:
        found: dict[str, Any] = parsed(path, files[path])
    except MalformedError as error:
        told = [
            Problem(each.pointer, each.code, f"{path}: {each.message}", each.line, each.column)
            for each in error.problems
        ]
        raise MalformedError(f"{path}: {error.detail}", told) from error
    return found


def _list(files: Files, path: str, member: str) -> list[dict[str, Any]]:
    found = _object(files, path).get(member, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _wrong(path, f"/{member}", "This is a list of objects.")
    return found


def _members(tree: Tree, path: str, pointer: str) -> dict[str, dict[str, Any]]:
    if not isinstance(tree, dict) or not all(isinstance(each, dict) for each in tree.values()):
        raise _wrong(path, pointer, "This is an object of objects.")
    return tree


def _yaml(tree: Mapping[str, Any] | Sequence[Any]) -> bytes:
    return formats.render(tree, "yaml").encode()


def _wrong(path: str, pointer: str, message: str) -> MalformedError:
    told = f"{path}: {message}"
    return MalformedError(told, [Problem(pointer, "tree", told)])
