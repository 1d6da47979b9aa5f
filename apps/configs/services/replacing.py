"""A credential in plain text becomes a secret, and its name stands in the text instead."""

from dataclasses import dataclass

from apps.access.policy import Place
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats, replacing
from apps.engine.errors import MalformedError
from apps.engine.paths import from_pointer
from apps.vault.models import Secret
from apps.vault.services import create_secret
from apps.vault.wrapping import with_keys_ahead


@dataclass(frozen=True, slots=True)
class Replaced:
    """The secret that was made, and the text that names it; ``still``: the value is elsewhere in
    the text too.
    """

    secret: Secret
    content: str
    still: bool


def make_secret_of(
    *, actor: Actor, place: Place, content: str, format_name: str, pointer: str, name: str
) -> Replaced:
    """Make a secret of the text at ``pointer`` of a source that somebody is writing.

    Nothing but the secret is stored. Needs what making a secret needs, and raises what that
    raises; :class:`NotFoundError` when the text at the pointer is not of this source. What a
    format cannot hold leaves no secret behind.
    """
    if format_name not in formats.FORMATS:
        raise MalformedError("There is no such format.")
    steps = tuple(str(step) for step in from_pointer(pointer))
    value = replacing.value_at(formats.parse(content, format_name).tree, steps)

    def make() -> Replaced:
        with writing():
            secret = create_secret(actor=actor, place=place, slug=name, value=value)
            changed = replacing.name_in_place(content, format_name, steps, name)
        return Replaced(secret, changed, value in changed)

    return with_keys_ahead(make)
