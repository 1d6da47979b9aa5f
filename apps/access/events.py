"""What the ledger keeps of acts on grants, accounts and tokens, whichever service does them."""

from apps.access.models import Grant, ServiceAccount, Token
from apps.access.policy import Place
from apps.access.selectors import holder_name
from apps.audit.services import Event
from apps.core import clock
from apps.engine.values import Tree


def grant_event(action: str, grant: Grant) -> Event:
    """What the ledger keeps of an act on a grant."""
    place: object = grant.key_rule or Place(grant.service, grant.environment)
    data: dict[str, Tree] = {"what": grant.role or grant.verb, "on": str(place)}
    if grant.expires_at is not None:
        data["until"] = clock.rfc3339(grant.expires_at)
    return Event(action, holder_name(grant), data)


def account_event(action: str, account: ServiceAccount, **data: Tree) -> Event:
    """What it keeps of an act on a service account."""
    return Event(action, f"service-account:{account.slug}", data)


def token_event(action: str, token: Token, **data: Tree) -> Event:
    """The same on a token, which is named by its prefix."""
    return account_event(action, token.account, token=token.prefix, **data)
