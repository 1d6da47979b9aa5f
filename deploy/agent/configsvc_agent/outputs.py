"""What is made of a configuration: files, and variables. All of a version, or nothing of it."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configsvc_agent import formats
from configsvc_agent.errors import RenderError, UsageError, WriteError
from configsvc_agent.sections import dotenv_tree
from configsvc_agent.templates import Template
from configsvc_agent.variables import variables
from configsvc_client.files import PRIVATE, stage, sync_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Variables:
    """How variables are named."""

    prefix: str = ""
    keeps_case: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """One file: the document in a format (``.env``: its environment variables), or what a template makes
    of it."""

    path: Path
    source: str | Template

    def render(self, context: dict[str, Any], chosen: Any, *, revealed: bool) -> bytes:
        """Its bytes. Raises :class:`RenderError` that names the file."""
        try:
            if isinstance(self.source, Template):
                return self.source.render(context)
            return formats.render(chosen, self.source, revealed=revealed)
        except RenderError as error:
            raise RenderError(f"{self.path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Made:
    """Everything that a version is, before any of it is written."""

    files: Sequence[tuple[Path, bytes]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is wanted. ``section`` narrows files and variables, not templates, to one top-level key;
    ``revealed`` says that secrets have their values."""

    files: Sequence[File] = ()
    variables: Variables | None = None
    section: str = ""
    mode: int = PRIVATE
    revealed: bool = False

    @property
    def needs_sections(self) -> bool:
        """Whether it matters which sections are environment variables."""
        has_dotenv = any(each.source == "env" for each in self.files)
        return not self.section and (has_dotenv or self.variables is not None)

    def make(self, envelope: Mapping[str, Any], env_sections: Sequence[str] | None = None) -> Made:
        """All files and variables of the configuration in ``envelope``; ``env_sections`` are the keys of
        its sections of type environment variables. Raises :class:`RenderError`.
        """
        document = envelope["config"]
        chosen = self._chosen(document) if self.section else document
        keys = () if self.section or env_sections is None else env_sections
        names = ("service", "environment", "version")
        context = {"config": document, **{name: envelope[name] for name in names}}
        made = []
        for each in self.files:
            tree = dotenv_tree(chosen, keys) if each.source == "env" else chosen
            made.append((each.path, each.render(context, tree, revealed=self.revealed)))
        if self.variables is None:
            return Made(made)
        named = variables(
            chosen,
            prefix=self.variables.prefix,
            keeps_case=self.variables.keeps_case,
            revealed=self.revealed,
            env_sections=keys,
        )
        return Made(made, named)

    def _chosen(self, document: Any) -> Any:
        if not isinstance(document, dict) or self.section not in document:
            raise RenderError(f"There is no section {self.section} in this version.")
        return document[self.section]

    def write(self, made: Made) -> bool:
        """Write the files whose bytes differ from those on disk, and say whether there were any.

        All are written beside their places and synced before the first is renamed. Raises
        :class:`WriteError` for what the disk refuses.
        """
        changed = [(path, content) for path, content in made.files if not _has(path, content)]
        staged: list[tuple[Path, Path]] = []
        try:
            for path, content in changed:
                path.parent.mkdir(parents=True, exist_ok=True)
                staged.append((stage(path, content, self.mode), path))
            for written, path in staged:
                written.replace(path)
                sync_folder(path.parent)
        except OSError as error:
            for written, _path in staged:
                written.unlink(missing_ok=True)
            raise WriteError(f"{path} cannot be written: {error}") from error
        for path, content in changed:
            logger.info("Wrote %s (%s bytes).", path, len(content))
        return bool(changed)


def parse_file(text: str) -> File:
    """``FORMAT:PATH`` as a file. Raises :class:`UsageError`."""
    name, colon, path = text.partition(":")
    name = {"yml": "yaml", "dotenv": "env"}.get(name, name)
    if not (colon and path) or name not in formats.FORMATS:
        known = ", ".join(formats.FORMATS)
        raise UsageError(f"--file wants FORMAT:PATH, with one of {known}: {text}")
    return File(_absolute(path), name)


def parse_template(text: str) -> File:
    """``SOURCE:DESTINATION`` as a file. Raises :class:`UsageError`."""
    source, colon, destination = text.partition(":")
    if not (colon and source and destination):
        raise UsageError(f"--template wants SOURCE:DESTINATION: {text}")
    if not Path(source).is_file():
        raise UsageError(f"There is no template {source}.")
    return File(_absolute(destination), Template(_absolute(source)))


def check_paths(files: Sequence[File]) -> None:
    """Refuse two files at one place. Raises :class:`UsageError`."""
    seen: set[Path] = set()
    for each in files:
        if each.path in seen:
            raise UsageError(f"Two files would be written to {each.path}.")
        seen.add(each.path)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links in it stay as they are


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
