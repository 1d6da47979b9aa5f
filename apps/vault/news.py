"""Telling consumers that a secret has another current value: by events of their configurations.

What a live configuration's event holds is known to the app above, which registers itself here.
"""

from collections.abc import Callable, Sequence

from apps.audit.services import Event
from apps.registry.models import Configuration
from apps.vault.models import Secret
from apps.vault.selectors import list_users

Teller = Callable[[Secret, Sequence[Configuration]], list[Event]]
_tellers: list[Teller] = []


def register_teller(teller: Teller) -> None:
    """Have ``teller`` make the events of live configurations that use a secret; once."""
    if teller not in _tellers:
        _tellers.append(teller)


def events_about(secret: Secret) -> list[Event]:
    """One event for each live configuration in which the secret's name stands for it."""
    if not _tellers:
        return []
    users = list_users(secret)
    return [event for teller in _tellers for event in teller(secret, users)]
