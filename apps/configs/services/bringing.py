"""Bringing in what was read from elsewhere, or an export: all of it or nothing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import Any, Final

from apps.access import rights
from apps.audit.services import as_one_act
from apps.configs.selectors.places import list_environments
from apps.configs.services.import_report import REFUSED, Row
from apps.configs.services.kernel import lock_composition
from apps.configs.services.making import Making
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats
from apps.engine.errors import invalid
from apps.engine.importers import apollo, consul, env_tree, kubernetes, nacos, spring, tree
from apps.engine.importers.reading import Document, Files, Places, Reading
from apps.engine.importers.tree import Installation, Text
from apps.vault.wrapping import with_keys_ahead

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


@dataclass(frozen=True, slots=True)
class Run:
    """How an import is done: only tried, and with live configurations failing knowingly."""

    dry_run: bool = False
    acknowledge: bool = False


AS_IT_IS: Final = Run()


def bring(
    *,
    actor: Actor,
    kind: str,
    files: Files,
    default: str,
    mapped: Mapping[str, str] = MappingProxyType({}),
    run: Run = AS_IT_IS,
) -> list[Row]:
    """Bring in ``files`` (by relative path) of a ``kind``: ``tree`` (an export of ours), or one of
    ``READERS``. What names no environment is of the one called ``default``; ``mapped`` says how
    foreign names are called here.

    Raises :class:`InvalidError` for an unknown kind or environment, :class:`MalformedError` for
    files that are no export.
    """
    if kind == TREE:
        installation = tree.read(files)
        return bring_tree(actor=actor, installation=installation, run=run)
    if kind not in READERS:
        known = ", ".join((TREE, *READERS))
        raise invalid("/from", "kind", f"What is imported is one of {known}.")
    names = tuple(each.slug for each in list_environments(actor=actor))
    for name in (default, *mapped.values()):
        if name.lower() not in {each.lower() for each in names}:
            raise invalid("/environment", "environment", f"There is no environment '{name[:100]}'.")
    reading = READERS[kind].read(files, Places(names, default, mapped))
    return bring_reading(actor=actor, reading=reading, run=run)


def bring_reading(*, actor: Actor, reading: Reading, run: Run = AS_IT_IS) -> list[Row]:
    """Make what ``reading`` holds: its shared templates, services that are not registered, secrets,
    and a version of each document. One row for each; where one is refused nothing is stored.

    A secret that is there already keeps its value. Needs what each of these needs by itself.
    """
    return _all_or_nothing(actor, run, lambda making: _make_reading(making, reading))


def _make_reading(run: Making, reading: Reading) -> None:
    for file in reading.passed_over:
        run.rows.append(Row("file", file, "passed_over", (file,)))
    for file, problems in reading.refused.items():
        run.rows.append(Row("file", file, REFUSED, (file,), errors=list(problems)))
    for slug, content in reading.templates.items():
        run.template(slug, {"content": content}, ())
    for document in reading.documents:
        run.service(document.service, None, document.files[0])
    run.secrets(reading.secrets)
    run.publish(_text_of(document) for document in reading.documents)


def bring_tree(*, actor: Actor, installation: Installation, run: Run = AS_IT_IS) -> list[Row]:
    """Make the installation as an export says: environments, templates, services with their
    sections, configurations and rules. What is as it says stays untouched, and nothing is deleted.

    Live configurations that its sections and rules would make fail are told; that is refused unless
    the run acknowledges it.
    """
    return _all_or_nothing(actor, run, lambda making: _make_tree(making, installation))


def _make_tree(run: Making, installation: Installation) -> None:
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
    run.judge()


def _all_or_nothing(actor: Actor, run: Run, make: Callable[[Making], None]) -> list[Row]:
    """The rows of what ``make`` makes, as one act; kept unless something of it was refused."""
    actor = replace(actor, generation=None)  # what is made moves who may do what

    def made() -> Making:
        making = Making(actor, acknowledge=run.acknowledge)
        make(making)
        return making

    def act() -> list[Row]:
        with writing():
            lock_composition()
            try:
                return as_one_act(made, keep=lambda each: not run.dry_run and not each.refused).rows
            finally:
                rights.forget()  # what was remembered of services and environments may be undone

    return with_keys_ahead(act)


def _text_of(document: Document) -> tuple[str, str, Text]:
    content = formats.render(document.tree, "yaml").encode()
    extends = [{"template": each} for each in document.templates]
    text = Text(content, "yaml", extends, document.files[0])
    return document.service, document.environment, text


def _parents_first(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Environments in an order in which each one's parent is there."""
    waiting, placed = list(found), list[dict[str, Any]]()
    while waiting:
        names = {_name(each.get("slug")) for each in waiting} - {""}
        ready = [each for each in waiting if _name(each.get("parent")) not in names] or waiting[:1]
        placed += ready
        waiting = [each for each in waiting if each not in ready]
    return placed


def _bases_first(found: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Templates in an order in which those that each one extends are there."""
    waiting, placed = dict(found), list[tuple[str, dict[str, Any]]]()
    while waiting:
        names = set(map(_name, waiting))
        ready = [slug for slug, each in waiting.items() if names.isdisjoint(_bases(each))]
        placed += [(slug, waiting.pop(slug)) for slug in ready or list(waiting)[:1]]
    return placed


def _bases(template: Mapping[str, Any]) -> list[str]:
    """What a template extends, as far as that can be read: the rest is refused when it is made."""
    given = template.get("extends")
    entries = given if isinstance(given, list) else []
    return [_name(each.get("template")) for each in entries if isinstance(each, dict)]


def _name(given: object) -> str:
    """A name to compare, in any case; "" for what is none."""
    return given.lower() if isinstance(given, str) else ""
