"""A Spring Cloud Config repository: ``application.yml`` for all, ``{application}-{profile}.yml``.

After the reference of Spring Cloud Config and of Spring Boot's externalized configuration: what names
a profile lies over what names none, and within each the application's own over the shared. Files may
lie in folders named after the application. A YAML document with ``spring.config.activate.on-profile``
(before Spring Boot 2.4 ``spring.profiles``) holds for that profile. Keys of ``.properties`` are nested.
"""

import re
from typing import Any, Final, NamedTuple

from apps.engine import formats
from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.reading import (
    Document,
    Files,
    Places,
    Reading,
    as_data,
    format_of,
    layered,
    nested,
    parsed,
    read_files,
    yaml_documents,
)
from apps.engine.values import Tree

SHARED: Final = "application"
FORMATS: Final = ("yaml", "properties", "json")
_INDEX: Final = re.compile(r"\[[0-9]+\]")


class _Part(NamedTuple):
    """One document of a file: of which application and environment (``None``: all)."""

    file: str
    application: str
    environment: str | None
    tree: Tree


def read(files: Files, places: Places) -> Reading:
    """The applications in each environment that a file names, or else in the default one. What all
    applications share is a template called ``application``, which each of them extends.
    """
    reading = Reading()
    found = read_files(files, reading, lambda path, content: _read(path, content, places))
    parts = [part for each in found.values() for part in each]
    shared = layered(each.tree for each in _of(parts, SHARED, None))
    if shared:
        reading.templates[SHARED] = as_data(shared)
    applications = sorted({each.application for each in parts} - {SHARED})
    named = sorted({each.environment for each in parts if each.environment})
    for application in applications:
        for environment in named or [places.default]:
            chosen = [
                *_of(parts, application, None),
                *_of(parts, SHARED, environment),
                *_of(parts, application, environment),
            ]
            if not chosen:
                continue
            tree = as_data(layered(each.tree for each in chosen))
            origins = tuple(dict.fromkeys(each.file for each in chosen))
            templates = (SHARED,) if shared else ()
            reading.documents.append(Document(application, environment, tree, origins, templates))
    return reading


def _of(parts: list[_Part], application: str, environment: str | None) -> list[_Part]:
    return [
        each for each in parts if (each.application, each.environment) == (application, environment)
    ]


def _read(path: str, content: bytes, places: Places) -> list[_Part] | None:
    if format_of(path) not in FORMATS:
        return None
    *folders, name = path.split("/")
    stem, environment = places.split(name.rpartition(".")[0])
    application = folders[-1] if folders and stem == SHARED else stem
    parts = []
    for tree in _documents(path, content):
        profile = _profile(tree)
        for_one = environment if profile is None else _known(profile, places)
        parts.append(_Part(path, application, for_one, tree))
    return parts


def _documents(path: str, content: bytes) -> list[Tree]:
    if format_of(path) == "properties":
        flat = formats.parse(content, "properties").tree
        indexed = next((key for key in flat if _INDEX.search(key)), None)
        if indexed is not None:
            message = (
                f"'{indexed[:100]}': lists in .properties are not read; write the file as YAML."
            )
            raise MalformedError(message, [Problem("", "list", message)])
        return [nested(flat, ".")]
    if format_of(path) == "json":
        return [parsed(path, content)]
    return yaml_documents(path, content) or [{}]


def _profile(tree: dict[str, Any]) -> str | None:
    """The profile that a document is for; its own mention of it is taken out."""
    spring = tree.get("spring")
    if not isinstance(spring, dict):
        return None
    activate = spring.get("config")
    if isinstance(activate, dict) and isinstance(activate.get("activate"), dict):
        profile = activate["activate"].pop("on-profile", None)
        _drop_empty(activate, "activate")
        _drop_empty(spring, "config")
    else:
        profile = None if isinstance(spring.get("profiles"), dict) else spring.pop("profiles", None)
    _drop_empty(tree, "spring")
    return profile if isinstance(profile, str) else None


def _drop_empty(tree: dict[str, Any], key: str) -> None:
    if tree.get(key) == {}:
        del tree[key]


def _known(profile: str, places: Places) -> str:
    found = places.find(profile)
    if found is None:
        message = f"There is no environment for the profile '{profile[:100]}': map it to one."
        raise MalformedError(message, [Problem("", "environment", message)])
    return found
