"""Who else holds a value that is to go: services that took it by a reference, and rules."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.configs.models import Live, Overlay, Rule, Version
from apps.configs.searching import Search, texts_of
from apps.configs.selectors.rules import knows_rule
from apps.core.actor import Actor
from apps.engine.errors import ForbiddenError, invalid
from apps.engine.paths import Path, format_path
from apps.engine.uses import load_uses
from apps.engine.values import canonical, parse_canonical
from apps.registry.models import Configuration, Dependency, Service


def services_with(search: Search, service: Service) -> list[Service]:
    """``service`` first, then all that share the value with it: they took it by a reference, or it
    was taken from them, directly or over others; or they keep the very same text.
    """
    found = {service.pk: service}
    waiting = [service]
    while waiting:
        here = waiting.pop()
        for other in (*_linked(search, here), *_with_same_texts(search, here)):
            if other.pk not in found:
                found[other.pk] = other
                waiting.append(other)
    return list(found.values())


def versions_of(services: Collection[Service]) -> list[Version]:
    """All versions of the services, with their texts."""
    return list(
        Version.objects.select_related("source", "effective")
        .select_related("configuration__service", "configuration__environment")
        .filter(configuration__service__in=services)
        .order_by("revision")
    )


def _linked(search: Search, service: Service) -> Iterator[Service]:
    """Services at the other end of references over which the value went, in any version."""
    slug = service.slug.lower()
    rows = Dependency.objects.filter(Q(service=slug) | Q(configuration__service=service))
    versions = (
        Version.objects.select_related("effective", "configuration__service")
        .filter(configuration__in=rows.values("configuration"))
        .exclude(uses="[]")
    )
    slugs: set[str] = set()
    for version in versions.iterator(chunk_size=100):
        tree = parse_canonical(version.effective.content)
        here = version.configuration.service.slug.lower()
        for use in load_uses(parse_canonical(version.uses)):
            ends = {here, use.target.document.service}
            if slug in ends and not ends <= slugs and search.is_at(tree, use.path):
                slugs |= ends
    yield from Service.objects.filter(slug__lower__in=slugs)


def _with_same_texts(search: Search, service: Service) -> Iterator[Service]:
    """A text is a row that all share who have it, so who redacts it redacts it for all of them."""
    digests = list(dict(search.replacements(texts_of(versions_of([service])))))
    same = Version.objects.filter(Q(source__in=digests) | Q(effective__in=digests))
    yield from Service.objects.filter(pk__in=same.values("configuration__service"))


def require_secure(actor: Actor, services: Collection[Service]) -> None:
    """Raise :class:`ForbiddenError` unless the actor has ``secure`` on each of the services in
    every environment: a text is kept once for all of them. It says where the right is missing.
    """
    rows = Configuration.objects.select_related("service", "environment")
    places = (Place(each.service, each.environment) for each in rows.filter(service__in=services))
    missing = [each for each in places if not policy.allowed_free(actor, "secure", each)]
    if missing:
        raise ForbiddenError(
            "This goes through the service in all environments, and through those that took the "
            "value by a reference: it needs the right 'secure' on "
            f"{told(actor, missing)} too.",
            right="secure",
        )


def refuse_live(actor: Actor, search: Search, services: Collection[Service]) -> None:
    """Raise :class:`InvalidError` (code ``live``) while something live holds the value."""
    live = Live.objects.select_related(
        "version__source", "version__effective", "configuration__environment"
    ).select_related("configuration__service")
    places = [
        Place(each.configuration.service, each.configuration.environment)
        for each in live.filter(configuration__service__in=services)
        if search.is_in(each.version)
    ]
    laid = Overlay.objects.select_related(
        "patch", "configuration__service", "configuration__environment"
    ).filter(laid=True, configuration__service__in=services)
    places += [
        Place(each.configuration.service, each.configuration.environment)
        for each in laid
        if search.is_said(each.patch.content)
    ]
    if places:
        raise invalid(
            "/key",
            "live",
            f"What is live in {told(actor, places)} still holds this value: publish without it "
            "first.",
        )


def told(actor: Actor, places: Iterable[Place]) -> str:
    """Places by name, those that the actor may not list as a number."""
    all_ = list(places)
    seen = sorted(str(each) for each in all_ if policy.sees(actor, each))
    hidden = len(all_) - len(seen)
    more = [f"{hidden} that you may not see"] if hidden else []
    return ", ".join(seen + more)


# Rules


@dataclass(frozen=True, slots=True)
class RulesWith:
    """Rules that say the value. ``kept`` are everybody's, and the actor has no right on all."""

    now: list[Rule]
    kept: list[Rule]
    past: list[tuple[int, dict[str, str]]]
    """Rows of their history, with what their fields become."""


def rules_with(
    search: Search, services: Collection[Service], path: Path, actor: Actor
) -> RulesWith:
    """The rules for the services, and, with ``secure`` on everything, those for all. A short value
    counts where it is asked of the key ``path`` alone: elsewhere it may be anything.
    """
    scope = Q(service__in=services)
    if policy.allowed_free(actor, "secure", EVERYWHERE):
        scope |= Q(service=None)
    rows = Rule.objects.select_related("service", "environment")
    past = ((row.pk, _without(search, row, path)) for row in Rule.history.filter(scope))
    return RulesWith(
        [each for each in rows.filter(scope) if _without(search, each, path)],
        [
            each
            for each in rows.filter(~scope, service=None)
            if _without(search, each, path) and knows_rule(actor, each)
        ],
        [(pk, changed) for pk, changed in past if changed],
    )


def refuse_rules(actor: Actor, rules: Iterable[Rule]) -> None:
    """Raise :class:`InvalidError` (code ``live``) for rules that hold: they say the value to all
    who may read it.
    """
    all_ = list(rules)
    names = sorted(each.name for each in all_ if knows_rule(actor, each))
    hidden = len(all_) - len(names)
    if all_:
        more = [f"{hidden} that you may not see"] if hidden else []
        raise invalid(
            "/key",
            "live",
            f"Rules still say this value: {', '.join(names + more)}. Change them first.",
        )


def redact_rules(past: Iterable[tuple[int, dict[str, str]]]) -> int:
    """Take the value out of the histories of rules; gives the number of rows."""
    count = 0
    for pk, changed in past:
        count += Rule.history.filter(pk=pk).update(**changed)
    return count


def _without(search: Search, rule: Rule, path: Path) -> dict[str, str]:
    """The fields of a rule, or of a row of its history, that say the value, without it."""
    if not search.written and rule.key != format_path(path):
        return {}
    changed = {
        name: canonical(search.replaced(parse_canonical(getattr(rule, name))))
        for name in ("equals", "tests")
        if getattr(rule, name) and search.is_said(getattr(rule, name))
    }
    for name in ("expression", "message", "description"):
        text = search.untold(getattr(rule, name))
        if text != getattr(rule, name):
            changed[name] = text
    return changed
