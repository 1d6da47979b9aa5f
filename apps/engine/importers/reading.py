"""What an importer gives back, and what importers share: places, layers, escapes, files."""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apps.engine import formats, merge, values
from apps.engine.errors import LimitError, MalformedError, Problem
from apps.engine.merge import escape_text
from apps.engine.values import Tree

FORMAT_OF_SUFFIX: Final = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".xml": "xml",
    ".env": "env",
    ".properties": "properties",
}
MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 1_048_576
MAX_BYTES: Final = 64 * 1_048_576
_SEPARATOR: Final = re.compile(r"^---(?=[ \t\r]|$).*$", re.MULTILINE)
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be published, of the ``files`` that it was read from. ``templates`` are what it
    extends, lowest first.
    """

    service: str
    environment: str
    tree: Tree
    files: tuple[str, ...]
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """A value that is to be kept as a secret and named in a document."""

    service: str
    environment: str
    name: str
    value: str = field(repr=False)
    file: str = ""


@dataclass(slots=True)
class Reading:
    """What was read. ``templates`` are shared documents by name; ``refused`` are files with what is
    wrong with them, ``passed_over`` those that say nothing here.
    """

    documents: list[Document] = field(default_factory=list)
    secrets: list[NamedSecret] = field(default_factory=list)
    templates: dict[str, Tree] = field(default_factory=dict)
    refused: dict[str, list[Problem]] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)

    def refuse(self, file: str, error: MalformedError) -> None:
        """Note what is wrong with a file."""
        problems = list(error.problems) or [Problem("", error.code, error.detail)]
        self.refused.setdefault(file, []).extend(problems)


@dataclass(frozen=True, slots=True)
class Places:
    """Which environments there are, and how foreign names for them are called here.

    ``default`` is where goes what names none.
    """

    names: tuple[str, ...]
    default: str
    mapped: Mapping[str, str] = field(default_factory=dict)

    def find(self, foreign: str) -> str | None:
        """The environment that a foreign name means, in any case."""
        for known, name in self.mapped.items():
            if known.lower() == foreign.lower():
                return name
        return next((each for each in self.names if each.lower() == foreign.lower()), None)

    def split(self, stem: str) -> tuple[str, str | None]:
        """``orders-production`` as a name and an environment; without one, the whole as a name."""
        found = [at for at, each in enumerate(stem) if each == "-" and self.find(stem[at + 1 :])]
        if not found:
            return stem, None
        return stem[: found[0]], self.find(stem[found[0] + 1 :])


def format_of(path: str) -> str | None:
    """The format that a file's suffix tells; ``None`` for another one."""
    name = path.rpartition("/")[2]
    return FORMAT_OF_SUFFIX.get("." + name.rpartition(".")[2].lower()) if "." in name else None


def read_files(files: Files, reading: Reading, read: Callable[[str, bytes], Any]) -> dict[str, Any]:
    """What ``read`` gives of each file; files that cannot be read are noted as refused."""
    found = {}
    for path, content in sorted(files.items()):
        try:
            made = read(path, content)
        except MalformedError as error:
            reading.refuse(path, error)
            continue
        if made is None:
            reading.passed_over.append(path)
        else:
            found[path] = made
    return found


def layered(trees: Iterable[Tree]) -> Tree:
    """Foreign documents laid over each other, lowest first: objects deeply, all else replaces."""
    joined: Any = {}
    for tree in trees:
        joined = _over(joined, tree)
    return joined


def _over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


def as_data(tree: Tree) -> Tree:
    """``tree`` written so that composing gives it back: what looks like our syntax is none."""
    if isinstance(tree, str):
        return escape_text(tree)
    if isinstance(tree, list):
        return [as_data(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if not tree.keys().isdisjoint(merge.RESERVED):
        return {"$literal": tree}
    return {key: as_data(value) for key, value in tree.items()}


def nested(flat: Mapping[str, Tree], separator: str) -> Tree:
    """Flat keys as objects: ``a.b.c``. Raises :class:`MalformedError` where a key is both a value
    and an object.
    """
    root: dict[str, Any] = {}
    for key, value in flat.items():
        *way, last = key.split(separator)
        node = root
        for step in way:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise _both(key)
        if isinstance(node.get(last), dict):
            raise _both(key)
        node[last] = value
    return root


def _both(key: str) -> MalformedError:
    message = f"'{key[:100]}' lies inside of a key that has a value of its own."
    return MalformedError(message, [Problem("", "shape", message)])


def parsed(path: str, content: bytes) -> Tree:
    """The object in a file, by its suffix. Raises :class:`MalformedError`."""
    tree = formats.parse_sent(content, format_of(path) or "yaml").tree
    if not isinstance(tree, dict):
        message = "A configuration is an object: its top level needs keys."
        raise MalformedError(message, [Problem("", "type", message, 1, 1)])
    return tree


def yaml_documents(path: str, content: bytes) -> list[Tree]:
    """The objects of a file that may hold several YAML documents; lines count through all of it."""
    text = content.decode("utf-8-sig", errors="surrogateescape")
    found, start = [], 0
    for end in [*(match.span() for match in _SEPARATOR.finditer(text)), (len(text), len(text))]:
        part = text[start : end[0]]
        if part.strip():
            lines = "\n" * text.count("\n", 0, start)
            found.append(parsed(path, (lines + part).encode("utf-8", errors="surrogateescape")))
        start = end[1]
    return found


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of a ZIP archive by their relative paths, folders left out.

    Raises :class:`MalformedError` for what is none, is encrypted, or has a path that leads out of
    it, and :class:`LimitError` above ``MAX_FILES`` files or ``MAX_BYTES`` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = [each for each in opened.infolist() if not each.is_dir()]
            _check(entries)
            return {each.filename: _content(opened, each) for each in entries}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise MalformedError("This is no ZIP archive that can be read.") from error


def _check(entries: Sequence[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES or sum(each.file_size for each in entries) > MAX_BYTES:
        raise LimitError(f"An archive has at most {MAX_FILES} files of {MAX_BYTES} bytes together.")
    for each in entries:
        steps = each.filename.split("/")
        if ".." in steps or steps[0] == "" or "\\" in each.filename:
            raise MalformedError("A file of the archive lies outside of it.")
    if len({each.filename for each in entries}) < len(entries):
        raise MalformedError("Two files of the archive have the same name.")
    values.check([each.filename for each in entries])


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with opened.open(entry) as source:
        content = source.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise LimitError(f"{entry.filename[:200]} has more than {MAX_FILE_BYTES} bytes.")
    return content


def packed(files: dict[str, bytes]) -> bytes:
    """A ZIP archive of ``files``; the same files give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
