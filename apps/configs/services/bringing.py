"""Bringing in what was read from elsewhere, or an export: all of it or nothing."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, Final

from django.db import transaction

from apps.configs.selectors.places import list_environments
from apps.configs.services.making import REFUSED, Making, Row
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats
from apps.engine.errors import invalid
from apps.engine.importers import apollo, consul, env_tree, kubernetes, nacos, spring, tree
from apps.engine.importers.reading import Document, Files, Places, Reading
from apps.engine.importers.tree import Installation, Text

TREE: Final = "tree"
READERS: Final[Mapping[str, ModuleType]] = MappingProxyType(
    {
        "spring": spring,
        "consul": consul,
        "nacos": nacos,
        "apollo": apollo,
        "kubernetes": kubernetes,
        "env": env_tree,
    }
)


def bring(
    *,
    actor: Actor,
    kind: str,
    files: Files,
    default: str,
    mapped: Mapping[str, str] = MappingProxyType({}),
    dry_run: bool = False,
) -> list[Row]:
    """Bring in ``files`` (by relative path) of a ``kind``: ``tree`` (an export of ours), or one of
    ``READERS``. What names no environment is of the one called ``default``; ``mapped`` says how
    foreign names are called here.

    Raises :class:`InvalidError` for an unknown kind or environment, :class:`MalformedError` for
    files that are no export.
    """
    if kind == TREE:
        installation = tree.read(files)
        return bring_tree(actor=actor, installation=installation, dry_run=dry_run)
    if kind not in READERS:
        known = ", ".join((TREE, *READERS))
        raise invalid("/from", "kind", f"What is imported is one of {known}.")
    names = tuple(each.slug for each in list_environments(actor=actor))
    for name in (default, *mapped.values()):
        if name.lower() not in {each.lower() for each in names}:
            raise invalid("/environment", "environment", f"There is no environment '{name[:100]}'.")
    reading = READERS[kind].read(files, Places(names, default, mapped))
    return bring_reading(actor=actor, reading=reading, dry_run=dry_run)


def bring_reading(*, actor: Actor, reading: Reading, dry_run: bool = False) -> list[Row]:
    """Make what ``reading`` holds: its shared templates, services that are not registered, secrets,
    and a version of each document. One row for each; where one is refused nothing is stored.

    A secret that is there already keeps its value. Needs what each of these needs by itself.
    """
    run = Making(actor)
    for file in reading.passed_over:
        run.rows.append(Row("file", file, "passed_over", (file,)))
    for file, problems in reading.refused.items():
        run.rows.append(Row("file", file, REFUSED, (file,), errors=list(problems)))
    with writing():
        for slug, content in reading.templates.items():
            run.template(slug, {"content": content}, ())
        for document in reading.documents:
            run.service(document.service, None, document.files[0])
        for secret in reading.secrets:
            run.secret(secret)
        run.publish(_text_of(document) for document in reading.documents)
        if dry_run or run.refused:
            transaction.set_rollback(True)
    return run.rows


def bring_tree(*, actor: Actor, installation: Installation, dry_run: bool = False) -> list[Row]:
    """Make the installation as an export says: environments, templates, services with their
    sections, configurations and rules. What is as it says stays untouched, and nothing is deleted.
    """
    run = Making(actor)
    with writing():
        for environment in _parents_first(installation.environments):
            run.environment(environment)
        for slug, template in _bases_first(installation.templates):
            run.template(slug, template, (f"templates/{slug}.yaml",))
        for slug, part in installation.services.items():
            service = run.service(slug, part.members, part.file)
            for key, section in part.sections.items() if service else ():
                run.section(service, key, section, part.file)
        run.publish(
            (slug, environment, text)
            for slug, part in installation.services.items()
            for environment, text in part.texts.items()
        )
        for rule in installation.rules:
            run.rule(rule)
        if dry_run or run.refused:
            transaction.set_rollback(True)
    return run.rows


def _text_of(document: Document) -> tuple[str, str, Text]:
    content = formats.render(document.tree, "yaml").encode()
    extends = [{"template": each} for each in document.templates]
    text = Text(content, "yaml", extends, document.files[0])
    return document.service, document.environment, text


def _parents_first(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Environments in an order in which each one's parent is there."""
    waiting, placed = list(found), list[dict[str, Any]]()
    while waiting:
        names = {each.get("slug") for each in waiting}
        ready = [each for each in waiting if each.get("parent") not in names] or waiting[:1]
        placed += ready
        waiting = [each for each in waiting if each not in ready]
    return placed


def _bases_first(found: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Templates in an order in which those that each one extends are there."""
    waiting, placed = dict(found), list[tuple[str, dict[str, Any]]]()
    while waiting:
        ready = [
            slug
            for slug, each in waiting.items()
            if not {str(base.get("template")) for base in each.get("extends") or []} & set(waiting)
        ] or list(waiting)[:1]
        placed += [(slug, waiting.pop(slug)) for slug in ready]
    return placed
