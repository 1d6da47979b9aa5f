"""Guessing is slowed, by account and by address, in the database that every node shares.

An attempt is counted before its password is looked at, so that many at once do not slip through;
a good one takes its count back. After some free ones each further one makes the next wait twice
as long, up to a quarter of an hour: nobody is locked out for good. A browser that logged in
before holds a device cookie and is counted by itself, so that a stranger's guesses do not keep the
owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). Attempts that are
refused count nothing.
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core import signing
from django.utils.crypto import salted_hmac

from apps.access.models import AttemptCounter
from apps.core.addresses import network_of
from apps.core.transactions import writing
from apps.engine.errors import TooManyAttemptsError

FREE: Final = {"account": 5, "device": 5, "factor": 5, "address": 30}
LONGEST: Final = timedelta(minutes=15)
FORGOTTEN_AFTER: Final = timedelta(hours=24)
CODE_LIVES: Final = timedelta(minutes=5)
DEVICE_LIVES: Final = timedelta(days=365)
_SALT: Final = "access.attempts"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an attempt is counted under."""

    keys: tuple[str, ...]
    at: datetime


def begin_login(*, account: str, address: str | None, device: str, now: datetime) -> Attempt:
    """Count an attempt to log in as ``account``, whether there is such a one or not.

    ``device`` is the device cookie or empty. Raises :class:`TooManyAttemptsError`.
    """
    known = _read_device(device, account)
    if known:
        return _begin([_key("device", known)], now)
    keys = [_key("account", _folded(account))]
    if address:
        keys.append(_key("address", network_of(address)))
    return _begin(keys, now)


def begin_factor(*, user_id: int, now: datetime) -> Attempt:
    """Count an attempt at a person's second factor. Raises :class:`TooManyAttemptsError`."""
    return _begin([_key("factor", str(user_id))], now)


def succeed(attempt: Attempt) -> None:
    """Take the attempt back: it was a good one. Of an address, it takes back its own alone."""
    with writing():
        for row in (
            AttemptCounter.objects.select_for_update().filter(pk__in=attempt.keys).order_by("pk")
        ):
            row.count = max(row.count - 1, 0) if row.key.startswith("address:") else 0
            row.blocked_until = None
            row.save()
    AttemptCounter.objects.filter(last_at__lt=attempt.at - FORGOTTEN_AFTER).delete()


def clear(account: str) -> None:
    """Forget the failed attempts on an account: an administrator gave it a new password."""
    AttemptCounter.objects.filter(key=_key("account", _folded(account))).update(
        count=0, blocked_until=None
    )


def use_once(*, user_id: int, code: str, now: datetime) -> bool:
    """Whether this one-time code was not used before, on any node (RFC 6238, section 5.2)."""
    with writing():
        AttemptCounter.objects.filter(
            key__startswith="code:", last_at__lt=now - CODE_LIVES
        ).delete()
        key = _key("code", f"{user_id} {''.join(code.split())}")
        return AttemptCounter.objects.get_or_create(key=key, defaults={"last_at": now})[1]


def new_device(account: str) -> str:
    """A device cookie for the browser that just logged in as ``account``."""
    return signing.dumps([_folded(account), secrets.token_urlsafe(16)], salt=_SALT)


def _read_device(cookie: str, account: str) -> str | None:
    if not cookie:
        return None
    try:
        held, name = signing.loads(cookie, salt=_SALT, max_age=DEVICE_LIVES)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return str(name) if held == _folded(account) else None


def _begin(keys: Sequence[str], now: datetime) -> Attempt:
    with writing():
        rows = [_locked(key, now) for key in sorted(keys)]
        until = max((row.blocked_until for row in rows if row.blocked_until), default=now)
        if until > now:
            seconds = math.ceil((until - now).total_seconds())
            raise TooManyAttemptsError(
                f"Too many attempts. Try again in {seconds} seconds.", retry_after=seconds
            )
        for row in rows:
            fresh = now - row.last_at < FORGOTTEN_AFTER
            row.count = row.count + 1 if fresh else 1
            row.last_at = now
            row.blocked_until = _blocked_until(row, now)
            row.save()
    return Attempt(tuple(sorted(keys)), now)


def _locked(key: str, now: datetime) -> AttemptCounter:
    """The row, made if need be, locked until the transaction ends."""
    while True:
        AttemptCounter.objects.get_or_create(key=key, defaults={"last_at": now})
        row = AttemptCounter.objects.select_for_update().filter(key=key).first()
        if row is not None:  # an old one may be thrown away in between
            return row


def _blocked_until(row: AttemptCounter, now: datetime) -> datetime | None:
    over = row.count - FREE[row.key.partition(":")[0]]
    if over < 0:
        return None
    return now + min(timedelta(seconds=2 ** min(over, 16)), LONGEST)


def _folded(account: str) -> str:
    return account.strip().casefold()


def _key(kind: str, name: str) -> str:
    return f"{kind}:{salted_hmac(_SALT, name, algorithm='sha256').hexdigest()}"
