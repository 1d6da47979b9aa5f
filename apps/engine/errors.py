"""The one tree of errors that the product raises on purpose.

Every class has a stable, documented ``code``. Which HTTP status belongs to which class is
decided in ``apps/api/errors.py`` alone; the portal shows the same texts beside the form.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place.

    ``pointer`` is a JSON Pointer (RFC 6901) into the document, empty for the whole of it.
    ``line`` and ``column`` count from 1 and are given when the input was text. ``message``
    never repeats a value that may be a secret. ``beside`` are pointers of all that it depends on:
    who may not see one of them, and whatever is inside of it, is not told of the problem.
    """

    pointer: str
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    service: str | None = None
    environment: str | None = None
    beside: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The members that are set, as the contract's ``errors[]`` item."""
        names = (
            "pointer",
            "code",
            "message",
            "line",
            "column",
            "service",
            "environment",
        )
        members = {name: getattr(self, name) for name in names}
        return {name: value for name, value in members.items() if value is not None}


class DomainError(Exception):
    """Base of every refusal. ``detail`` tells the reader what to do next.

    ``extra`` holds further members of the answer (``current_version`` of a conflict). ``subject``
    is what it was about, for the ledger alone: no answer shows it.
    """

    code = "error"
    title = "The request was refused"
    subject = ""

    def __init__(
        self,
        detail: str,
        problems: Sequence[Problem] = (),
        *,
        code: str = "",
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)
        self.code = code or type(self).code
        self.extra = extra


class MalformedError(DomainError):
    """The input is not what its format says it is (not parseable, duplicate keys, bad text)."""

    code = "malformed"
    title = "The input cannot be read"


class LimitError(MalformedError):
    """The input is readable but exceeds a limit (nesting, nodes, length of a key)."""

    code = "limit"
    title = "The input exceeds a limit"


class TooLargeError(DomainError):
    """The body has more bytes than the limit."""

    code = "too_large"
    title = "The body is too large"


class UnrepresentableError(DomainError):
    """A format cannot hold the document (null in TOML). Names the keys; nothing is dropped."""

    code = "not_representable"
    title = "The format cannot hold this document"


class InvalidError(DomainError):
    """Well-formed, and not what it must be, or not as things are."""

    code = "invalid"
    title = "The request is not valid"


class InvalidConfigurationError(InvalidError):
    """A configuration is against a schema, a type, a rule or the composition syntax."""

    title = "The configuration is not valid"


class TakenError(InvalidError):
    """There is one of this name or kind already, or was and the name is not used again."""

    title = "This is taken already"


class PatchError(InvalidError):
    """An operation of a JSON Patch does not apply to what is there, or its ``test`` fails."""

    title = "The patch does not apply"


class NotFoundError(DomainError):
    """It does not exist, or the caller may not know that it does: the two look alike."""

    code = "not_found"
    title = "Not found"


NOTHING_HERE = "There is nothing here, or nothing that you may see."


class GoneError(DomainError):
    """The configuration is retired."""

    code = "retired"
    title = "The configuration is retired"


class DestroyedError(GoneError):
    """The version of a secret was destroyed: its value cannot be read by anybody."""

    code = "destroyed"
    title = "The value was destroyed"


class ForbiddenError(DomainError):
    """The caller may see it and lacks the right that ``extra['right']`` names."""

    code = "forbidden"
    title = "A right is missing"


class ReviewRequiredError(ForbiddenError):
    """The environment wants a review and the publish was not a proposal."""

    code = "review_required"
    title = "This environment wants a review"


class SecondFactorRequiredError(ForbiddenError):
    """The settings ask for a second factor that this person has not enrolled yet."""

    code = "second_factor_required"
    title = "A second factor is needed"


class UnauthenticatedError(DomainError):
    """No credentials, or none that are valid."""

    code = "unauthenticated"
    title = "Credentials are needed"


class TooManyAttemptsError(DomainError):
    """Too many attempts from one place or on one account; ``extra['retry_after']`` is in seconds."""

    code = "too_many_requests"
    title = "Too many attempts"


class ConflictError(DomainError):
    """It does not go with what is there now: a stale base above all."""

    code = "conflict"
    title = "It conflicts with what is there"


class PreconditionFailedError(DomainError):
    """``If-Match`` names a version that is not live any more."""

    code = "precondition_failed"
    title = "The precondition does not hold"


class PreconditionRequiredError(DomainError):
    """A write to something that exists came without a base."""

    code = "base_required"
    title = "A base version is needed"


class UnavailableError(DomainError):
    """The server cannot do it now; nothing was changed."""

    code = "unavailable"
    title = "Not available now"


class SealedError(UnavailableError):
    """The key that opens secrets is not there; everything but secrets works."""

    code = "sealed"
    title = "The secrets are sealed"


class HeldError(UnavailableError):
    """After a restore tokens, grants and log-ins wait until an administrator has confirmed them."""

    code = "held"
    title = "Rights are held after a restore"


class IntegrityError(DomainError):
    """A sealed value is not what was sealed: damaged, moved or altered."""

    code = "integrity"
    title = "A sealed value does not open"


def invalid(pointer: str, code: str, message: str) -> InvalidError:
    """An :class:`InvalidError` with one problem, whose text is also the detail."""
    return InvalidError(message, [Problem(pointer, code, message)])


def taken(pointer: str, message: str) -> TakenError:
    """A :class:`TakenError` whose one problem has the code ``taken``."""
    return TakenError(message, [Problem(pointer, "taken", message)])
