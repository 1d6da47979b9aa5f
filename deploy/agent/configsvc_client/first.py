"""The state that a program begins with: the server's, or the last good copy on disk."""

import logging

from configsvc_client.copies import Copy, Kept
from configsvc_client.errors import AwayError, ConfigError
from configsvc_client.remote import Answer, Remote
from configsvc_client.state import Snapshot
from configsvc_client.watching import GONE

logger = logging.getLogger(__name__)

AWAY = 503
NOTHING = 204


def first_snapshot(remote: Remote, copy: Copy | None) -> Snapshot:
    """One fetch, and the copy where it fails. Sections are asked for where the copy has them.

    Raises :class:`ConfigError` when there is no copy either: with the server's status, or 503
    (:data:`AWAY`) when it cannot be reached.
    """
    kept = copy.read() if copy else None
    if kept is not None and kept.env_sections is not None:
        remote.asks_sections = True
    try:
        answer = remote.fetch(kept.etag if kept else "")
    except AwayError as error:
        if kept is None:
            raise ConfigError(AWAY, f"The server is away and there is no copy: {error}") from error
        logger.warning("The server is away (%s): using the copy on disk.", error)
        return Snapshot.of_kept(kept)
    except ConfigError as error:
        if kept is None:
            raise
        logger.error("The server refuses (%s): using the copy on disk.", error)  # noqa: TRY400 - no traceback needed
        return Snapshot.of_kept(kept, retired=error.status == GONE)
    return _settle(answer, kept, copy)


def _settle(answer: Answer, kept: Kept | None, copy: Copy | None) -> Snapshot:
    """What the server answered, but never a version before the kept one."""
    reached = answer.position.revision if answer.position else 0
    if kept is None:
        if answer.envelope is None:
            raise ConfigError(NOTHING, "The server answered nothing to the first fetch.")
        epoch = answer.position.epoch if answer.position else ""
        first = Snapshot(
            answer.envelope,
            answer.etag,
            epoch,
            stale=answer.stale,
            reached=reached,
            env_sections=answer.env_sections,
        )
    else:
        before = Snapshot.of_kept(kept)
        first = before.followed_by(answer)
        if first.is_older_than(before):
            logger.warning("The server is behind the copy on disk: using the copy.")
            return before
    if copy is not None and first.kept != kept:
        copy.write(first.kept)
    return first
