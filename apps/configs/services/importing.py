"""Importing a folder of configuration files: one service each, one act for all."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.db import transaction

from apps.access.policy import Place
from apps.configs import sources
from apps.configs.services.bases import Options
from apps.configs.services.kernel import Outcome
from apps.configs.services.places import create_service
from apps.configs.services.publishing import Publication, publish_many
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import DomainError, InvalidError, TooLargeError, invalid
from apps.registry.models import Environment, Service

FORMAT_OF_SUFFIX = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".xml": "xml",
    ".env": "env",
    ".properties": "properties",
}
MAX_FILE_BYTES = 1_048_576
OTHER: Final = "with no suffix of a format"
HIDDEN: Final = "hidden"
UNREADABLE: Final = "not to be read"
OUTSIDE: Final = "that are links out of the folder"


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a folder to import, and those that are passed over, by the reason."""

    files: list[Path] = field(default_factory=list)
    passed_over: dict[str, list[Path]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file. ``escaped`` counts the ``${`` that were written ``$${``."""

    path: Path
    service: str
    escaped: int = 0
    outcome: Outcome | None = None
    error: DomainError | None = None
    created: bool = False


def find_files(folder: Path) -> Found:
    """The files under ``folder`` with a known suffix, sorted, and the others. A file stands for itself."""
    found = Found()
    for path in sorted({folder, *folder.rglob("*")}):
        try:
            reason = _why_passed_over(path, folder)
        except PermissionError:
            reason = UNREADABLE
        if reason:
            found.passed_over.setdefault(reason, []).append(path)
        elif path.is_file():
            found.files.append(path)
    return found


def _why_passed_over(path: Path, folder: Path) -> str:
    """Empty for what is imported, and for a folder that can be looked into."""
    if path.is_dir():
        return "" if os.access(path, os.R_OK | os.X_OK) else UNREADABLE
    *folders, name = path.relative_to(folder).parts or (path.name,)
    if any(each.startswith(".") for each in folders):
        return HIDDEN
    if not path.is_file():  # a link that leads nowhere, a socket
        return UNREADABLE
    if not path.resolve().is_relative_to(folder.resolve()):
        return OUTSIDE
    if suffix_of(path) in FORMAT_OF_SUFFIX:
        return ""
    return HIDDEN if name.startswith(".") else OTHER


def suffix_of(path: Path) -> str:
    """The suffix that tells the format; a file named ``.env`` counts as one too."""
    return path.suffix.lower() or (path.name.lower() if path.name.startswith(".") else "")


def service_of(path: Path) -> str:
    """The service that a file stands for: its name without the suffix."""
    stem = path.name[: -len(suffix_of(path))] if path.suffix else ""
    return stem.strip(".") or path.parent.name


def import_files(
    *,
    actor: Actor,
    files: Sequence[Path],
    environment: Environment,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Imported]:
    """Publish each file as the next version of its service in ``environment``, all or nothing.

    Services that are not registered are made. ``${`` is written as ``$${``, because an imported
    file means those characters and not a reference. A file that is refused appears with its
    error, and then nothing of the run is stored. What is unchanged makes no version.
    """
    read = []
    for index, path in enumerate(files, start=1):
        read.append(_read(path))
        if progress is not None:
            progress(index, len(files))
    twice = _find_twice(read)
    if twice or any(each.error for each, _source in read):
        return twice or [each for each, _source in read]
    with writing():
        found = list(_publish(actor, read, environment))
        if dry_run or any(each.error for each in found):
            transaction.set_rollback(True)
    return found


def _read(path: Path) -> tuple[Imported, sources.Source | None]:
    service = service_of(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TooLargeError(f"The file has more than {MAX_FILE_BYTES} bytes.")
        content = path.read_bytes()
        escaped = content.count(b"${") - content.count(b"$${")
        if escaped:
            content = content.replace(b"$${", b"${").replace(b"${", b"$${")
        source = sources.from_text(content, FORMAT_OF_SUFFIX[suffix_of(path)])
        return Imported(path, service, escaped), source
    except OSError as error:
        message = f"The file cannot be read: {error.strerror}."
        return Imported(path, service, error=invalid("", "unreadable", message)), None
    except DomainError as error:
        return Imported(path, service, error=error), None


def _find_twice(read: Sequence[tuple[Imported, object]]) -> list[Imported]:
    seen: dict[str, Path] = {}
    found = []
    for each, _source in read:
        name = each.service.lower()
        if name in seen:
            message = f"{seen[name].name} stands for the service '{each.service}' as well."
            found.append(Imported(each.path, each.service, error=invalid("", "twice", message)))
        seen[name] = each.path
    return found


def _publish(
    actor: Actor,
    read: Sequence[tuple[Imported, sources.Source | None]],
    environment: Environment,
) -> Iterator[Imported]:
    ready: list[tuple[Imported, bool]] = []
    items: list[Publication] = []
    options = Options(message="Import", on_stale="overwrite")
    for each, source in read:
        service = Service.objects.named(each.service).first()
        created = service is None
        try:
            service = service or create_service(actor=actor, slug=each.service)
        except InvalidError as error:
            yield Imported(each.path, each.service, error=error)
            continue
        if source is not None:
            items.append(Publication(Place(service, environment), source, options))
            ready.append((each, created))
    if not items:
        return
    try:
        outcomes = publish_many(actor=actor, items=items)
    except InvalidError as error:
        yield from _blame(ready, error)
        return
    for (each, created), outcome in zip(ready, outcomes, strict=True):
        yield Imported(each.path, each.service, each.escaped, outcome, created=created)


def _blame(ready: Sequence[tuple[Imported, bool]], error: InvalidError) -> Iterator[Imported]:
    """Give each file its own problems; those that name no service concern the first file."""
    for index, (each, _created) in enumerate(ready):
        mine = [
            problem
            for problem in error.problems
            if problem.service == each.service or (problem.service is None and index == 0)
        ]
        if mine or (index == 0 and not error.problems):
            yield Imported(each.path, each.service, error=InvalidError(error.detail, mine))
        else:
            yield Imported(each.path, each.service, each.escaped)
