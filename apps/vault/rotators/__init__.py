"""The rotators by name."""

from apps.engine.errors import invalid
from apps.vault.rotators.base import Rotator
from apps.vault.rotators.generated import Ed25519KeyPair, Key, Password, RsaKeyPair
from apps.vault.rotators.postgres import PostgresRole
from apps.vault.rotators.webhook import SignedWebhook

ROTATORS: dict[str, Rotator] = {
    each.name: each
    for each in (
        Password(),
        Key(),
        RsaKeyPair(),
        Ed25519KeyPair(),
        PostgresRole(),
        SignedWebhook(),
    )
}


def rotator_of(name: object) -> Rotator:
    """The rotator of that name. Raises :class:`InvalidError`."""
    found = ROTATORS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(ROTATORS)
        raise invalid("/rotation/rotator", "rotator", f"A rotator is one of {known}.")
    return found
