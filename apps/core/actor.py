"""Who acts. Every service takes one, and every audit event carries its name."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Model

from apps.core.addresses import network_of
from apps.core.models import User


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a service account or the system itself, as of one request.

    ``name`` is what the ledger keeps: ``user:ada``, ``service-account:checkout-app``,
    ``system:import_configs``. ``environment`` is a service account's own environment (slug).
    A superuser passes every permission question and is audited as everybody. ``generation`` is
    the access generation that a request began with, whose rights hold for all of it; without
    one every question is about the present. ``login`` is what a person's sessions are bound to
    (password, second factor removed): when it moves, what the session opened has ended. So it has
    when ``session``, the key of the one that he calls from, is not there any more.
    """

    name: str
    user_id: int | None = None
    is_superuser: bool = False
    environment: str | None = None
    account_id: int | None = None
    token_id: str | None = None
    address: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    generation: int | None = None
    login: str | None = field(default=None, repr=False, compare=False)
    session: str | None = field(default=None, repr=False, compare=False)


def stranger(address: str | None) -> Actor:
    """Somebody who has not said who he is, by the network that he calls from."""
    return Actor(name=f"address:{network_of(address or 'unknown')}", address=address)


def system(command: str) -> Actor:
    """The actor of a management command: whoever can run it holds the data folder anyway."""
    return Actor(name=f"system:{command}", is_superuser=True)


def mark_history(instance: Model, actor: Actor) -> None:
    """Let django-simple-history write ``actor`` into the row that the next save makes."""
    user = None if actor.user_id is None else User(pk=actor.user_id)
    instance._history_user = user  # type: ignore[attr-defined] # noqa: SLF001
    instance._change_reason = actor.name  # type: ignore[attr-defined] # noqa: SLF001
