"""What a caller is served for a published version: bytes, media type and validators.

Pure functions of the version and the question, shared by every way in which it can be asked.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from apps.configs.selectors.configurations import Published
from apps.core import clock
from apps.engine import formats, paths, spots
from apps.engine.errors import NotFoundError, UnrepresentableError
from apps.engine.spots import Spot
from apps.engine.values import Tree, canonical, checksum, compact

FLAT_FORMATS = ("env", "properties")
ENVELOPE = "envelope"
SOURCE = "source"
VALUE = "value"


@dataclass(frozen=True, slots=True)
class Question:
    """How a version is asked for: the view, a file format, the keys, one section.

    ``env_sections`` are what a ``.env`` is made of, where the service has sections for it;
    ``revealed`` are the ids and versions of the secrets whose values are in the answer.
    """

    view: str = ENVELOPE
    format: str = ""
    keys: tuple[str, ...] = ()
    section: str = ""
    env_sections: tuple[str, ...] | None = None
    revealed: tuple[str, ...] | None = None

    @property
    def form(self) -> str:
        """What a signature calls the format: with what narrows the answer, where something does.

        So nobody in between can pass off a part for the whole.
        """
        narrowed = [("key", key) for key in sorted(self.keys)]
        narrowed += [("section", self.section)] if self.section else []
        form = self.format or self.view
        return f"{form}?{urlencode(narrowed)}" if narrowed else form

    @property
    def asked(self) -> str:
        """Everything but the version, as text."""
        asked: list[Tree] = [self.view, self.format, list(self.keys), self.section]
        if self.env_sections is not None:
            asked.append({"env": list(self.env_sections)})
        if self.revealed is not None:
            asked.append(list(self.revealed))
        return compact(asked)

    @property
    def digest(self) -> str:
        """A short hash of it."""
        return hashlib.sha256(self.asked.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to send, their media type, and the entity tag."""

    body: bytes
    media_type: str
    etag: str


def etag(published: Published, question: Question) -> str:
    """The strong entity tag: the version's random id, then a hash of the question and the variant.

    ``-pinned`` and ``-outdated`` follow where an envelope says so, for it says more then.
    """
    view = published.checksum[7:19] if published.is_partial else ""
    variant = published.variant and hashlib.sha256(published.variant.encode()).hexdigest()[:12]
    marks = ""
    if not question.format and question.view != VALUE:
        marks = "-pinned" * published.pinned + "-outdated" * published.outdated
    return f'"{published.version_id}-{question.digest}{view}{variant}{marks}"'


def coded_tag(tag: str, coding: str) -> str:
    """The entity tag of the same in a content coding."""
    return f'{tag[:-1]}-{coding}"' if coding else tag


def answer(
    published: Published,
    question: Question,
    revealed: Tree = None,
) -> Answer:
    """The answer to ``question`` about ``published``.

    ``revealed`` is the document with the values of its secrets, where they may be given out.
    Raises :class:`UnrepresentableError` when the format cannot hold the document,
    :class:`NotFoundError` for a key or section that is not there.
    """
    tag = etag(published, question)
    tree = published.tree if revealed is None else revealed
    if question.view == VALUE:
        return _value(tree, question, tag)
    if question.format:
        hidden = published.secrets if revealed is None and question.format in FLAT_FORMATS else []
        return Answer(
            _file(tree, question, hidden).encode(),
            file_type(question),
            tag,
        )
    if question.view == SOURCE:
        return Answer(_source(published).encode(), "application/json", tag)
    return Answer(_envelope(published, question, revealed).encode(), "application/json", tag)


def file_type(question: Question) -> str:
    """The media type of an answer that is a file."""
    return f"{formats.MEDIA_TYPES[question.format]}; charset=utf-8"


def narrowed(tree: Tree, keys: Sequence[str]) -> Tree:
    """A document, narrowed to what the globs cover."""
    return paths.select(tree, paths.parse_globs(keys)) if keys else tree


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
    if published.variant:
        experiment, _slash, variant = published.variant.partition("/")
        members["experiment"] = {"id": experiment, "variant": variant}
    return members


def _envelope(published: Published, question: Question, revealed: Tree) -> str:
    text = published.text
    if question.keys:
        text = canonical(narrowed(published.tree, question.keys))
    shown = text if revealed is None else canonical(narrowed(revealed, question.keys))
    return joined(envelope_members(published, text), "config", shown)


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


def _value(tree: Tree, question: Question, tag: str) -> Answer:
    path = paths.parse_path(question.keys[0])
    found, value = paths.find(tree, path)
    if not found:
        raise NotFoundError("There is no such key.")
    if isinstance(value, str):
        return Answer(value.encode(), "text/plain; charset=utf-8", tag)
    return Answer(canonical(value).encode(), "application/json", tag)


def _file(tree: Tree, question: Question, hidden: Sequence[Spot]) -> str:
    """The document as a file; in a flat one each hidden secret is a comment line."""
    marks = {
        spot: f"configsvc-secret-{index}-of-{len(hidden)}" for index, spot in enumerate(hidden)
    }
    for spot, mark in marks.items():
        tree = spots.fill(tree, [Spot(spot.path, (mark,))], {mark: mark})
    chosen = _file_tree(narrowed(tree, question.keys), question)
    text = formats.render(chosen, question.format)
    for spot, mark in marks.items():
        names = ", ".join(f"'{name}'" for name in spot.names)
        text = re.sub(rf"(?m)^(.*){mark}$", rf"# \1 the secret {names}, not revealed", text)
    return text


def _file_tree(tree: Tree, question: Question) -> Tree:
    if question.section:
        if question.section not in tree:
            raise NotFoundError("There is no such section.")
        return tree[question.section]
    if question.env_sections is not None:
        merged: dict[str, Tree] = {}
        for key in question.env_sections:
            section = tree.get(key, {})
            if not isinstance(section, dict):
                raise UnrepresentableError(
                    f"The section '{key}' has no variables: it is one value."
                )
            merged |= section
        return merged
    if question.format in FLAT_FORMATS and not isinstance(tree, dict):
        raise UnrepresentableError("A flat format holds names and texts alone.")
    return tree
