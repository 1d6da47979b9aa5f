"""What a caller is served for a published version: bytes, media type and validators.

Pure functions of the version and the question, shared by every way in which it can be asked.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from apps.configs.selectors.configurations import Published
from apps.core import clock
from apps.engine import formats, paths
from apps.engine.errors import NotFoundError, UnrepresentableError
from apps.engine.values import Tree, canonical, checksum, compact

FLAT_FORMATS = ("env", "properties")
ENVELOPE = "envelope"
SOURCE = "source"
VALUE = "value"


@dataclass(frozen=True, slots=True)
class Question:
    """How a version is asked for: the view, a file format, the keys, one section."""

    view: str = ENVELOPE
    format: str = ""
    keys: tuple[str, ...] = ()
    section: str = ""

    @property
    def digest(self) -> str:
        """A short hash of everything but the version."""
        text = compact([self.view, self.format, list(self.keys), self.section])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to send, their media type, and the entity tag."""

    body: bytes
    media_type: str
    etag: str


def etag(published: Published, question: Question) -> str:
    """The strong entity tag: the version's random id, then a hash of the question."""
    return f'"{published.version_id}-{question.digest}"'


def answer(published: Published, question: Question, env_sections: Sequence[str] = ()) -> Answer:
    """The answer to ``question`` about ``published``.

    ``env_sections`` are the service's sections of type environment variables, for ``.env``.
    Raises :class:`UnrepresentableError` when the format cannot hold the document,
    :class:`NotFoundError` for a key or section that is not there.
    """
    tag = etag(published, question)
    if question.view == VALUE:
        return _value(published, question, tag)
    if question.format:
        tree = document(published, question.keys)
        chosen = _file_tree(tree, question, env_sections)
        return Answer(
            formats.render(chosen, question.format).encode(),
            f"{formats.MEDIA_TYPES[question.format]}; charset=utf-8",
            tag,
        )
    text = _source(published) if question.view == SOURCE else _envelope(published, question)
    return Answer(text.encode(), "application/json", tag)


def document(published: Published, keys: Sequence[str]) -> Tree:
    """The effective document, narrowed to what the globs cover."""
    if not keys:
        return published.tree
    return paths.select(published.tree, paths.parse_globs(keys))


def envelope_members(published: Published, text: str) -> dict[str, Tree]:
    """The members around the document ``text``."""
    members: dict[str, Tree] = {
        "service": published.service,
        "environment": published.environment,
        "version": published.version,
        "revision": published.revision,
        "checksum": checksum(text),
        "published_at": clock.rfc3339(published.published_at),
    }
    if published.pinned:
        members["pinned"] = True
    if published.outdated:
        members["outdated"] = True
    return members


def _envelope(published: Published, question: Question) -> str:
    text = canonical(document(published, question.keys)) if question.keys else published.text
    return joined(envelope_members(published, text), "config", text)


def joined(members: dict[str, Tree], name: str, text: str) -> str:
    """The JSON object of ``members`` with one more, whose text is there already."""
    return f'{compact(members)[:-1]},"{name}":{text}}}'


def _source(published: Published) -> str:
    tree = formats.parse(published.source, published.format).tree
    members = envelope_members(published, published.text)
    members |= {
        "content": published.source,
        "format": published.format,
        "extends": published.extends,
    }
    return joined(members, "config", compact(tree))


def _value(published: Published, question: Question, tag: str) -> Answer:
    path = paths.parse_path(question.keys[0])
    found, value = paths.find(published.tree, path)
    if not found:
        raise NotFoundError("There is no such key.")
    if isinstance(value, str):
        return Answer(value.encode(), "text/plain; charset=utf-8", tag)
    return Answer(canonical(value).encode(), "application/json", tag)


def _file_tree(tree: Tree, question: Question, env_sections: Sequence[str]) -> Tree:
    if question.section:
        if question.section not in tree:
            raise NotFoundError("There is no such section.")
        return tree[question.section]
    if question.format == "env" and env_sections:
        merged: dict[str, Tree] = {}
        for key in env_sections:
            merged |= tree.get(key, {})
        return merged
    if question.format in FLAT_FORMATS and not isinstance(tree, dict):
        raise UnrepresentableError("A flat format holds names and texts alone.")
    return tree
