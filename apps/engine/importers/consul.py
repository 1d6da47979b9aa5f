"""What ``consul kv export`` writes: a JSON list of ``{"key","flags","value"}``, values in base64.

Keys are ``SERVICE/a/b``, or all of them ``config/SERVICE/a/b``. A service may be called
``SERVICE,PROFILE`` or end in ``-PROFILE``, and one key ``data`` may hold a whole document in YAML, as
Spring Cloud Consul keeps them.
"""

import base64
import binascii
from typing import Any, Final

from apps.engine import formats
from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.reading import (
    Document,
    Files,
    Places,
    Reading,
    as_data,
    nested,
    read_files,
)
from apps.engine.values import Tree

WHOLE: Final = "data"
PREFIX: Final = "config/"


def read(files: Files, places: Places) -> Reading:
    """A document for each service of the exports."""
    reading = Reading()
    for path, entries in read_files(files, reading, _read).items():
        try:
            reading.documents += _documents(path, entries, places)
        except MalformedError as error:
            reading.refuse(path, error)
    return reading


def _read(path: str, content: bytes) -> dict[str, str] | None:
    if not path.lower().endswith(".json"):
        return None
    tree: Any = formats.parse(content, "json").tree
    if not isinstance(tree, list):
        raise _wrong("", "An export of Consul is a list of keys.")
    found: dict[str, str] = {}
    for index, entry in enumerate(tree):
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            raise _wrong(f"/{index}", "An entry has a 'key' and a 'value' in base64.")
        if not entry["key"].endswith("/"):
            found[entry["key"].strip("/")] = _text(entry.get("value"), f"/{index}/value")
    return found


def _text(value: Tree, pointer: str) -> str:
    if value is None:
        return ""
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _wrong(pointer, "This is not text in base64.") from error


def _documents(path: str, entries: dict[str, str], places: Places) -> list[Document]:
    depth = 1 if all(key.startswith(PREFIX) for key in entries) else 0
    held: dict[tuple[str, str], dict[str, str]] = {}
    for key, value in entries.items():
        steps = key.split("/")
        if len(steps) < depth + 2:
            raise _wrong("", f"'{key[:100]}' lies beside the services: a key is SERVICE/KEY.")
        name, _comma, profile = steps[depth].partition(",")
        found = places.find(profile) if profile else None
        if profile and found is None:
            raise _wrong("", f"There is no environment for '{profile[:100]}': map it to one.")
        if found is None:
            name, found = places.split(name)
        place = name, found or places.default
        held.setdefault(place, {})["/".join(steps[depth + 1 :])] = value
    return [
        Document(service, environment, as_data(_tree(flat)), (path,))
        for (service, environment), flat in sorted(held.items())
    ]


def _tree(flat: dict[str, str]) -> Tree:
    if list(flat) != [WHOLE]:
        return nested(flat, "/")
    tree = formats.parse(flat[WHOLE], "yaml").tree
    return tree if isinstance(tree, dict) else {WHOLE: tree}


def _wrong(pointer: str, message: str) -> MalformedError:
    return MalformedError(message, [Problem(pointer, "consul", message)])
