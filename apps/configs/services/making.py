"""Making the things of an import one by one, each with a row that says what became of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.configs import describing, sources
from apps.configs.models import Rule, Section, Template
from apps.configs.selectors.configurations import find_live
from apps.configs.services import places, rules, sections, templates
from apps.configs.services.bases import Options
from apps.configs.services.import_report import REFUSED, Row, blame, problems_of
from apps.configs.services.publishing import Publication, publish_many
from apps.configs.services.recomposing import judge_merging, world_of
from apps.core.actor import Actor
from apps.engine.errors import DomainError, InvalidError, Problem
from apps.engine.importers.reading import NamedSecret
from apps.engine.importers.tree import Text
from apps.engine.values import Tree, canonical
from apps.registry.models import Environment, Service
from apps.registry.selectors import find_environment, find_group, find_service
from apps.vault.models import Secret
from apps.vault.services import create_secret
from apps.vault.wrapping import AgainError

OPTIONS: Final = Options(message="Import", on_stale="overwrite")


class Making:
    """One run: each step makes one thing, or notes in a row why it cannot be."""

    def __init__(self, actor: Actor, *, acknowledge: bool = False) -> None:
        self.rows: list[Row] = []
        self._actor = actor
        self._acknowledge = acknowledge
        self._judging: list[tuple[Row, Callable[[], object]]] = []
        self._services: dict[str, Service] = {}

    @property
    def refused(self) -> bool:
        """Whether something was refused, so that nothing may be stored."""
        return any(row.status == REFUSED for row in self.rows)

    def environment(self, members: dict[str, Any]) -> None:
        """An environment, made or changed."""
        slug = str(members.get("slug"))
        wanted = {name: members[name] for name in places.ENVIRONMENT_MEMBERS if name in members}

        def make() -> str:
            found = find_environment(slug)
            if found is None:
                policy.require(self._actor, "manage", EVERYWHERE)
                places.create_environment(actor=self._actor, slug=slug, **wanted)
                return "created"
            if not _differs(describing.environment(found), wanted):
                return "unchanged"
            wanted.pop("default", None) if found.is_default else None
            places.update_environment(actor=self._actor, environment=found, **wanted)
            return "updated"

        self._step("environment", slug, ("environments.yaml",), make)

    def template(self, slug: str, members: dict[str, Any], files: tuple[str, ...]) -> None:
        """A template, made, or given another version."""
        body = templates.Body(
            members.get("content"), members.get("parameters") or {}, members.get("extends") or []
        )

        def make() -> str:
            found = Template.objects.named(slug).first()
            if found is None:
                name = str(members.get("name") or slug)
                templates.create_template(actor=self._actor, slug=slug, body=body, name=name)
                return "created"
            newest = found.versions.select_related("content").first()
            said = newest and (newest.content.content, newest.parameters, newest.extends)
            if said == (
                canonical(body.content),
                canonical(body.parameters),
                canonical(body.extends),
            ):
                return "unchanged"
            made = templates.publish_template(actor=self._actor, template=found, body=body)
            return "unchanged" if made.unchanged else "updated"

        self._step("template", slug, files, make)

    def service(self, slug: str, members: Mapping[str, Any] | None, file: str) -> Service | None:
        """The service, made where it is missing. ``members`` are what it is to be, if anything."""
        if slug in self._services:
            return self._services[slug]
        wanted = dict(members or {})
        warnings = []
        if wanted.get("owner") and find_group(str(wanted["owner"])) is None:
            message = f"There is no group '{wanted['owner']}', so it has no owner."
            warnings.append(Problem("/owner", "owner", message))
            wanted["owner"] = None

        def make() -> str:
            found = Service.objects.named(slug).first()
            if found is None or not policy.sees(self._actor, Place(found)):
                policy.require(self._actor, "manage", EVERYWHERE)
            if found is None:
                made = places.create_service(actor=self._actor, slug=slug, **wanted)
                self._services[slug] = made
                return "created"
            self._services[slug] = found
            if members is None or not _differs(describing.service(found), wanted):
                return "unchanged"
            places.update_service(actor=self._actor, service=found, **wanted)
            return "updated"

        self._step("service", slug, (file,), make, warnings)
        return self._services.get(slug)

    def section(
        self, service: Service | None, key: str, members: Mapping[str, Any], file: str
    ) -> None:
        """A section of a service, made or changed."""
        assert service is not None  # noqa: S101 - asked before

        actor = self._actor

        def make() -> str:
            found = Section.objects.filter(service=service, key=key).first()
            if found is not None and not _differs(describing.section(found), members):
                return "unchanged"
            before = world_of(service)
            if found is None:
                made = sections.create_section(
                    actor=actor, service=service, key=key, acknowledge=True, **members
                )
            else:
                made = sections.update_section(
                    actor=actor, section=found, acknowledge=True, **members
                )
            self._judge_at_last(lambda: sections.refuse_breaking(actor=actor, section=made))
            self._judge_at_last(lambda: judge_merging(actor=actor, service=service, before=before))
            return "created" if found is None else "updated"

        self._step("section", f"{service.slug}:{key}", (file,), make)

    def secrets(self, secrets: Iterable[NamedSecret]) -> None:
        """Each secret, made where there is none of its name; all of their keys are asked for at once."""
        again: AgainError | None = None
        for secret in secrets:
            try:
                self._secret(secret)
            except AgainError as error:
                again = error
        if again is not None:
            raise again

    def _secret(self, secret: NamedSecret) -> None:

        def make() -> str:
            place = Place(self._services[secret.service], _environment(secret.environment))
            there = Secret.objects.named(secret.name).filter(
                service=place.service, environment=place.environment
            )
            policy.require_free(self._actor, "secure", place)
            if there.exists():
                return "kept"
            create_secret(actor=self._actor, place=place, slug=secret.name, value=secret.value)
            return "created"

        if secret.service in self._services:
            name = f"{secret.service}@{secret.environment}/{secret.name}"
            self._step("secret", name, (secret.file,), make)

    def rule(self, members: dict[str, Any]) -> None:
        """A rule, made or changed."""
        name = str(members.get("name"))
        own: dict[str, Any] = {each: members[each] for each in rules.MEMBERS if each in members}
        actor = self._actor

        def make() -> str:
            found = Rule.objects.filter(name__iexact=name).first()
            if found is not None and not _differs(describing.rule(found), own):
                return "unchanged"
            if found is None:
                place = Place(self._named(members.get("service")), _named_environment(members))
                made = rules.create_rule(
                    actor=actor, name=name, place=place, acknowledge=True, **own
                )
            else:
                made = rules.update_rule(actor=actor, rule=found, acknowledge=True, **own)
            self._judge_at_last(lambda: rules.refuse_breaking(actor=actor, rule=made))
            return "created" if found is None else "updated"

        self._step("rule", name, ("rules.yaml",), make)

    def judge(self) -> None:
        """Hold what is live in the end against the sections and rules that were made: what fails is
        told, and refused unless it is acknowledged.
        """
        for row, check in self._judging:
            try:
                check()
            except InvalidError as error:
                told = [Problem("", error.code, error.detail), *error.problems]
                if self._acknowledge:
                    row.warnings += told
                else:
                    row.status = REFUSED
                    row.errors += told

    def _judge_at_last(self, check: Callable[[], object]) -> None:
        self._judging.append((self.rows[-1], check))

    def publish(self, texts: Iterable[tuple[str, str, Text]]) -> None:
        """All documents as one act; each gets a row. What says the same as the live one stays as it
        is, also where it is outdated, pinned or would not be valid any more.
        """
        items: list[Publication] = []
        rows: list[Row] = []
        for slug, environment, text in texts:
            row = Row("configuration", f"{slug}@{environment}", REFUSED, (text.file,))
            self.rows.append(row)
            if slug not in self._services:
                row.errors.append(Problem("", "service", "Its service was refused."))
                continue
            try:
                source = sources.from_text(text.content, text.format, text.extends)
                place = Place(self._services[slug], _environment(environment))
                if self._is_live(place, source):
                    row.status = "unchanged"
                    continue
                items.append(Publication(place, source, OPTIONS))
                rows.append(row)
            except DomainError as error:
                row.errors += problems_of(error)
        if not items:
            return
        try:
            outcomes = publish_many(actor=self._actor, items=items)
        except DomainError as error:
            blame(rows, error)
            return
        for row, outcome in zip(rows, outcomes, strict=True):
            row.version, row.warnings = outcome.version, outcome.warnings
            first = "created" if outcome.version == 1 else "updated"
            row.status = "unchanged" if outcome.unchanged else first

    def _is_live(self, place: Place, source: sources.Source) -> bool:
        """Whether that is what is written there, as the actor sees it."""
        policy.require(self._actor, "publish", place)
        if not policy.allowed(self._actor, "read", place):
            return False
        live = find_live(actor=self._actor, place=place)
        return (
            live is not None
            and not live.row.retired
            and (live.format, live.source) == (source.format, source.content)
            and source.extends in (None, live.extends)
        )

    def _named(self, slug: object) -> Service | None:
        if slug is None:
            return None
        found = self._services.get(str(slug)) or find_service(str(slug))
        if found is None:
            message = f"There is no service '{str(slug)[:100]}'."
            raise DomainError(message, [Problem("", "service", message)])
        return found

    def _step(
        self,
        kind: str,
        name: str,
        files: tuple[str, ...],
        make: Callable[[], str],
        warnings: Iterable[Problem] = (),
    ) -> None:
        row = Row(kind, name, REFUSED, files, warnings=list(warnings))
        self.rows.append(row)
        try:
            row.status = make()
        except DomainError as error:
            row.errors = problems_of(error)


def _environment(slug: str) -> Environment:
    found = find_environment(slug)
    if found is None:
        message = f"There is no environment '{slug[:100]}'."
        raise DomainError(message, [Problem("", "environment", message)])
    return found


def _named_environment(members: Mapping[str, Any]) -> Environment | None:
    slug = members.get("environment")
    return None if slug is None else _environment(str(slug))


def _differs(there: Mapping[str, Tree], wanted: Mapping[str, Tree]) -> bool:
    return any(canonical(there.get(name)) != canonical(value) for name, value in wanted.items())
