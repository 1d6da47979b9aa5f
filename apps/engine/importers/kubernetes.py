"""Kubernetes manifests: ConfigMaps become documents, Secrets become secrets that the documents name.

After the API reference of ``v1`` ConfigMap and Secret. A configuration's service is the label
``app.kubernetes.io/name``, else ``app``, else the object's name; its environment is the namespace, where
there is one of that name, else the default. An entry named like a file (``application.yaml``) is read as
that file; when it is the only one it is the document, else it stands under its name without the suffix.
"""

import base64
import binascii
import re
from typing import Any, Final, NamedTuple

from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.flat_names import joined
from apps.engine.importers.reading import (
    Document,
    Files,
    NamedSecret,
    Places,
    Reading,
    format_of,
    layered,
    parsed,
    read_files,
    yaml_documents,
)
from apps.engine.values import Tree

KINDS: Final = ("ConfigMap", "Secret")
LABELS: Final = ("app.kubernetes.io/name", "app")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


class _Found(NamedTuple):
    """What an object gives: its place, the part of the document, the secrets in it."""

    service: str
    environment: str
    tree: Tree
    secrets: list[NamedSecret]


def read(files: Files, places: Places) -> Reading:
    """A document for each service, of its ConfigMaps and Secrets in the order of files."""
    reading = Reading()
    found = read_files(files, reading, lambda path, content: _read(path, content, places))
    parts = [(path, each) for path, objects in found.items() for each in objects]
    plain = joined(
        (each.service, each.environment, path, each.tree)
        for path, each in parts
        if not each.secrets
    )
    held = {(each.service, each.environment): each for each in plain}
    for path, each in parts:
        if each.secrets:
            reading.secrets += each.secrets
            place = (each.service, each.environment)
            before = held.get(place)
            origins = (*before.files, path) if before else (path,)
            tree = layered([before.tree, each.tree]) if before else each.tree
            held[place] = Document(*place, tree, tuple(dict.fromkeys(origins)))
    reading.documents = [held[place] for place in sorted(held)]
    return reading


def _read(path: str, content: bytes, places: Places) -> list[_Found] | None:
    if format_of(path) not in ("yaml", "json"):
        return None
    trees = yaml_documents(path, content)
    objects = [each for tree in trees for each in _objects(tree)]
    found = [_found(path, each, places) for each in objects if each.get("kind") in KINDS]
    return found or None


def _objects(tree: dict[str, Any]) -> list[dict[str, Any]]:
    if str(tree.get("kind", "")).endswith("List") and isinstance(tree.get("items"), list):
        return [each for each in tree["items"] if isinstance(each, dict)]
    return [tree]


def _found(path: str, manifest: dict[str, Any], places: Places) -> _Found:
    meta = manifest.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    name = meta.get("name")
    if not isinstance(name, str) or not name:
        raise _wrong("/metadata/name", "A manifest has a name.")
    labels = meta["labels"] if isinstance(meta.get("labels"), dict) else {}
    service = next((str(labels[each]) for each in LABELS if each in labels), name)
    environment = places.find(str(meta.get("namespace", ""))) or places.default
    if manifest["kind"] == "ConfigMap":
        return _Found(service, environment, _config(manifest), [])
    secrets = [
        NamedSecret(service, environment, _secret_name(name, key), value, path)
        for key, value in _values(manifest).items()
    ]
    tree = {
        key: {"$secret": secret.name}
        for key, secret in zip(_values(manifest), secrets, strict=True)
    }
    return _Found(service, environment, tree, secrets)


def _config(manifest: dict[str, Any]) -> Tree:
    if manifest.get("binaryData"):
        raise _wrong("/binaryData", "Binary data is no configuration.")
    data = manifest.get("data") or {}
    if not isinstance(data, dict) or not all(isinstance(each, str) for each in data.values()):
        raise _wrong("/data", "The data of a ConfigMap is an object of texts.")
    trees = {key: _entry(key, text) for key, text in data.items()}
    if len(data) == 1 and format_of(key := next(iter(data))):
        return trees[key]
    return {key.rpartition(".")[0] if format_of(key) else key: tree for key, tree in trees.items()}


def _entry(key: str, text: str) -> Tree:
    if format_of(key) is None:
        return text
    try:
        return parsed(key, text.encode())
    except MalformedError as error:
        problems = [Problem(f"/data/{key}", each.code, each.message) for each in error.problems]
        raise MalformedError(error.detail, problems) from error


def _values(manifest: dict[str, Any]) -> dict[str, str]:
    """The values of a Secret as text; ``stringData`` goes before ``data``."""
    found: dict[str, str] = {}
    for key, value in _texts(manifest, "data").items():
        try:
            found[key] = base64.b64decode(str(value), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise _wrong(f"/data/{key}", "This is not text in base64.") from error
    for key, value in _texts(manifest, "stringData").items():
        found[key] = str(value)
    return found


def _texts(manifest: dict[str, Any], member: str) -> dict[str, Any]:
    given = manifest.get(member) or {}
    if not isinstance(given, dict):
        raise _wrong(f"/{member}", "The data of a Secret is an object.")
    return given


def _secret_name(name: str, key: str) -> str:
    return _UNFIT.sub("-", f"{name}.{key}").strip("-._")[:128]


def _wrong(pointer: str, message: str) -> MalformedError:
    return MalformedError(message, [Problem(pointer, "manifest", message)])
