"""Whose a session is, and how long it lasts: by being idle, and in all."""

from collections.abc import MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest

from apps.access import holds
from apps.access.selectors import actor_of_user
from apps.core import clock
from apps.core.actor import Actor
from apps.core.models import User

BEGAN, SEEN = "began_at", "seen_at"
Session = MutableMapping[str, Any]


def begin(session: Session, *, now: datetime) -> None:
    """Note when the session of a fresh log-in begins."""
    session[BEGAN] = session[SEEN] = now.timestamp()


def is_over(session: Session, *, now: datetime) -> bool:
    """Whether it was idle for too long, or lasts too long."""
    moment = now.timestamp()
    idle = moment - float(session.get(SEEN, moment))
    age = moment - float(session.get(BEGAN, moment))
    return idle >= settings.SESSION_IDLE_SECONDS or age >= settings.SESSION_COOKIE_AGE


def ends_at(session: Session) -> datetime | None:
    """When it ends in any case; ``None`` before its first use was noted."""
    began = session.get(BEGAN)
    if began is None:
        return None
    return datetime.fromtimestamp(float(began), UTC) + timedelta(
        seconds=settings.SESSION_COOKIE_AGE
    )


def touch(session: Session, *, now: datetime) -> None:
    """Note that it is used, written at most once a minute."""
    if BEGAN not in session:
        begin(session, now=now)
    elif now - datetime.fromtimestamp(session[SEEN], now.tzinfo) >= min(
        clock.MINUTE, timedelta(seconds=settings.SESSION_IDLE_SECONDS / 4)
    ):
        session[SEEN] = now.timestamp()


def find_person(key: str | None, *, address: str | None = None) -> Actor | None:
    """The person whose session has the key, for as long as it may last; ``None`` once it has ended.

    Raises :class:`SecondFactorRequiredError` as :func:`actor_of_user` does, and :class:`HeldError` for
    one that waits until rights are confirmed.
    """
    request = HttpRequest()
    request.session = SessionStore(key)
    if not key or is_over(request.session, now=clock.now()):
        return None
    user = get_user(request)
    if not isinstance(user, User):
        return None
    holds.require_free(request.session)
    actor = actor_of_user(user, address=address)
    return replace(actor, expires_at=ends_at(request.session), session=key)
