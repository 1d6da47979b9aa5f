"""A token that reads one configuration and nothing else: account, grant and token in one act."""

from apps.access import policy
from apps.access.events import account_event, token_event
from apps.access.models import ServiceAccount
from apps.access.policy import Place
from apps.access.roles import verbs_of
from apps.access.services import (
    issue_token,
    require_grantable,
    require_token_right,
    write_account,
    write_grants,
)
from apps.audit.services import append
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import ConflictError

ROLE = "consumer"


def reader_name(place: Place) -> str:
    """The slug of the account that reads the configuration at ``place``."""
    return f"{place.service}-{place.environment}-reader"


def may_make_reader(actor: Actor, place: Place) -> bool:
    """Whether :func:`make_reader_token` is allowed there, for an account that is not there yet."""
    return policy.allowed(actor, "manage", Place(environment=place.environment)) and all(
        policy.allowed_free(actor, verb, place) for verb in verbs_of(ROLE, "")
    )


def make_reader_token(*, actor: Actor, place: Place) -> str:
    """Make a token of the account that reads ``place``; the account too, when there is none.

    Needs ``manage`` in the environment, and all that the account may: it gives what it gives in
    one act, or nothing. Raises :class:`ConflictError` when the name belongs to an account of
    another kind, whose rights a token would hand on.
    """
    policy.require(actor, "manage", Place(environment=place.environment))
    require_grantable(actor, verbs_of(ROLE, ""), place)
    slug = reader_name(place)
    with writing():
        events = []
        account = ServiceAccount.objects.filter(slug__lower=slug.lower()).first()
        if account is None:
            account = write_account(actor, slug, f"Reads {place}", place.environment)
            events.append(account_event("account.created", account))
        elif account.deleted_at is not None or account.environment != place.environment:
            raise ConflictError(
                f"The name '{slug}' is taken, or was and is not used again. Make an account of "
                "another name under Service accounts."
            )
        require_token_right(actor, account)
        _given, granted = write_grants(actor, account.user, [(ROLE, "")], place)
        token, raw = issue_token(actor, account, "from the portal", None)
        append([*events, *granted, token_event("token.created", token)], actor=actor)
    return raw
