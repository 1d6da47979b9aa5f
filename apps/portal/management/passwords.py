"""Asking for a password on the terminal."""

from getpass import getpass

from django.core.management.base import CommandError

from apps.engine.errors import InvalidError


def ask_password() -> str:
    """A password that was typed twice alike. Raises :class:`CommandError`."""
    typed = getpass("Password: ")
    if getpass("Password (again): ") != typed:
        raise CommandError("The two are not alike. Nothing was changed.")
    return typed


def explained(error: InvalidError) -> CommandError:
    """What is wrong, a line for each problem."""
    lines = [each.message for each in error.problems] or [error.detail]
    return CommandError("\n".join([*lines, "Nothing was changed."]))
