"""What a rotator is: how a new value is made, brought to where it is used, and tried."""

import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from apps.core.models import Connection
from apps.engine import values
from apps.engine.errors import DomainError, invalid
from apps.engine.values import Tree

logger = logging.getLogger(__name__)


class RotatorError(DomainError):
    """A step of a rotation did not succeed. ``detail`` says why, and never holds a value."""

    code = "rotation"
    title = "The rotation failed"


@contextmanager
def contained() -> Iterator[None]:
    """Around every call of a rotator: the text of what nobody foresaw may hold a value.

    Its kind and its place are logged and told, as a :class:`RotatorError`; its text is not.
    """
    try:
        yield
    except DomainError:
        raise
    except Exception as error:
        kind = type(error).__name__
        place = "".join(traceback.format_tb(error.__traceback__))
        logger.error("A rotator failed with %s:\n%s", kind, place)  # noqa: TRY400 - as said above
        raise RotatorError(f"{kind}: the server's log has the place.") from None


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a rotator. ``kind``: ``number``, ``text``, ``choice``, ``choices``, ``names``."""

    name: str
    title: str
    kind: str
    default: Any = None
    choices: Sequence[Any] = ()
    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """What a step works on. Values are plain: they are shown nowhere.

    ``key`` is the same in every repetition of one rotation's steps, ``credential`` the value of
    the connection's secret.
    """

    key: str
    secret: str
    options: Mapping[str, Any]
    current: Tree = field(repr=False)
    pending: Tree = field(default=None, repr=False)
    connection: Connection | None = None
    credential: Tree = field(default=None, repr=False)

    def text_credential(self) -> str:
        """The credential where it is a text. Raises :class:`RotatorError`."""
        if not isinstance(self.credential, str):
            raise RotatorError("The connection's credential must be a text.")
        return self.credential


class Rotator(ABC):
    """Makes values of one kind. Every step may be repeated: its process may have died after it.

    ``needs`` is the kind of connection that it works through (empty: none, and its values are used
    by those alone who read them); with ``alternates`` a rotation makes the value before the
    current one useless.
    """

    name: str
    title: str
    needs: str = ""
    alternates: bool = False
    options: Sequence[Option] = ()

    def check(self, options: Mapping[str, Any], connection: Connection | None) -> None:  # noqa: B027 - nothing to check is usual
        """Raise :class:`InvalidError` for settings that do not go together."""

    @abstractmethod
    def create(self, task: Task) -> Tree:
        """A new value. Changes nothing anywhere."""

    def set(self, task: Task) -> None:  # noqa: B027 - used nowhere
        """Bring the pending value to where it is used, beside the current one."""

    def test(self, task: Task) -> None:  # noqa: B027 - used nowhere
        """Use the pending value. Raises :class:`RotatorError` when it does not work."""

    def finish(self, task: Task) -> None:  # noqa: B027 - used nowhere
        """The pending value is about to become current."""

    def retire(self, task: Task, value: Tree) -> None:  # noqa: B027 - used nowhere
        """The time of an earlier ``value`` is over: nothing is to accept it any more."""


def read_options(known: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults. Raises :class:`InvalidError` naming the one at fault."""
    names = {each.name for each in known}
    for name in given:
        if name not in names:
            pointer = f"/rotation/{values.escape(name)}"
            raise invalid(pointer, "unknown_member", "This rotator has no such setting.")
    return {each.name: _read(each, given.get(each.name)) for each in known}


def _read(option: Option, value: Any) -> Any:
    if value is None:
        if option.default is None:
            raise _wrong(option, "is needed")
        return option.default
    return _READERS[option.kind](option, value)


def _number(option: Option, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(option, "is a whole number")
    if not option.least <= value <= option.most:
        raise _wrong(option, f"is {option.least} to {option.most}")
    return int(value)


def _text(option: Option, value: Any) -> str:
    if not isinstance(value, str) or len(value) > option.most:
        raise _wrong(option, f"is text of at most {option.most} characters")
    values.check({option.name: value})
    return value


def _choice(option: Option, value: Any) -> Any:
    known = {(type(each), each) for each in option.choices}
    if isinstance(value, (list, dict)) or (type(value), value) not in known:
        raise _wrong(option, f"is one of {', '.join(map(str, option.choices))}")
    return value


def _choices(option: Option, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _wrong(option, "is a list, not empty")
    chosen = [_choice(option, each) for each in value]
    return [each for each in option.choices if each in chosen]


def _names(option: Option, value: Any) -> list[str]:
    proper = isinstance(value, list) and all(isinstance(each, str) and each for each in value)
    if not proper or not option.least <= len(value) <= option.most:
        raise _wrong(option, f"is a list of {option.least} names")
    values.check(value)
    return list(value)


_READERS = {
    "number": _number,
    "text": _text,
    "choice": _choice,
    "choices": _choices,
    "names": _names,
}


def _wrong(option: Option, what: str) -> Exception:
    return invalid(f"/rotation/{option.name}", "option", f"'{option.name}' {what}.")
