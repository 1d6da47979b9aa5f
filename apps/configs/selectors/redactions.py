"""What was redacted: by which act, from which versions."""

from collections.abc import Iterable

from django.db.models import Min, Q

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Redaction, TemplateVersion, Version
from apps.core.actor import Actor


def list_redacted_by(*, actor: Actor, revision: int) -> list[Version]:
    """The versions that an act of redaction changed, of those that the actor may list, place by
    place.
    """
    digests = Redaction.objects.filter(revision=revision).values("text_id")
    rows = (
        Version.objects.filter(Q(source__in=digests) | Q(effective__in=digests))
        .select_related("configuration__service", "configuration__environment")
        .defer("lock", "extends")
        .order_by("configuration__service__slug", "configuration__environment__rank", "number")
    )
    return [each for each in rows if policy.allowed(actor, "list", _place(each))]


def find_first_revision(*, revision: int) -> int | None:
    """The revision that first published a text of those that an act of redaction changed; ``None``
    when it changed none that was ever published.
    """
    digests = Redaction.objects.filter(revision=revision).values("text_id")
    versions = Version.objects.filter(Q(source__in=digests) | Q(effective__in=digests))
    templates = TemplateVersion.objects.filter(content__in=digests)
    found = [
        rows.order_by().aggregate(first=Min("revision"))["first"] for rows in (versions, templates)
    ]
    return min((each for each in found if each is not None), default=None)


def redacted_among(versions: Iterable[Version]) -> set[object]:
    """The keys of those versions of which a text was redacted."""
    rows = list(versions)
    digests = {digest for each in rows for digest in (each.source_id, each.effective_id)}
    found = set(Redaction.objects.filter(text_id__in=digests).values_list("text_id", flat=True))
    return {each.pk for each in rows if found & {each.source_id, each.effective_id}}


def _place(version: Version) -> Place:
    return Place(version.configuration.service, version.configuration.environment)
