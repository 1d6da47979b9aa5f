"""People who come from an OpenID Connect provider: who they are here, and in which groups."""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import Group

from apps.access import people
from apps.access.models import ExternalIdentity
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor
from apps.core.models import User
from apps.core.names import check_slug, check_text
from apps.core.transactions import writing
from apps.engine.errors import ForbiddenError, taken


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider says of a person, checked. ``subject`` alone is who it is."""

    issuer: str
    subject: str
    username: str = ""
    email: str = ""
    name: str = ""


def sign_on(*, actor: Actor, identity: Identity) -> User:
    """The person behind an identity, made at the first time.

    A person who exists already is never taken over by a like name: somebody links the two first.
    Raises :class:`ForbiddenError` then and for a deactivated login, :class:`InvalidError` for a
    name that cannot be one here.
    """
    check_text("subject", identity.subject, 255)
    found = (
        ExternalIdentity.objects.select_related("user")
        .filter(issuer=identity.issuer, subject=identity.subject)
        .first()
    )
    if found is not None:
        if not found.user.is_active:
            raise ForbiddenError("This login is deactivated.", right="login")
        return found.user
    check_slug(identity.username)
    if User.objects.filter(username__iexact=identity.username).exists():
        raise ForbiddenError(
            "There is a login of that name already, which this identity is not linked with. Ask an "
            "administrator to link them.",
            right="login",
        )
    return people.create_person(
        actor=actor,
        username=identity.username,
        email=identity.email,
        name=identity.name,
        identity=(identity.issuer, identity.subject),
    )


def set_mapped_groups(
    *, actor: Actor, user: User, wanted: Collection[str], mapped: Collection[str]
) -> None:
    """Put a person into ``wanted`` of the ``mapped`` groups, and out of the others of them.

    Groups that nothing is mapped to stay as they are. Writes only what changes.
    """
    present = {group.name: group for group in user.groups.all()}
    names = (present.keys() - set(mapped)) | (set(wanted) & set(mapped))
    if names == present.keys():
        return
    groups: list[Group] = [
        present.get(name) or people.create_group(actor=actor, name=name) for name in sorted(names)
    ]
    people.set_groups(actor=actor, user=user, groups=groups)


def link(*, actor: Actor, user: User, issuer: str, subject: str) -> ExternalIdentity:
    """Let ``subject`` at the provider ``issuer`` log in as ``user``, who was there before."""
    check_text("subject", subject, 255)
    with writing():
        if ExternalIdentity.objects.filter(issuer=issuer, subject=subject).exists():
            raise taken("/subject", "This identity belongs to a login already.")
        made = ExternalIdentity.objects.create(
            user=user, issuer=issuer, subject=subject, created_at=clock.now()
        )
        data = {"issuer": issuer, "subject": subject}
        append([Event("identity.linked", f"user:{user.username}", data)], actor=actor)
    return made
