"""Key providers: what wraps the data keys. None of them gives a key-encryption key away."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from apps.engine import sealing
from apps.engine.errors import SealedError

NO_KEY = "The key that opens secrets is not here. Everything but secrets works; bring it back."


class KeyProvider(Protocol):
    """Wraps data keys (32 bytes) by one current key and opens what older keys wrapped."""

    def names(self, key_id: str) -> bool:
        """Whether a key of this id would be kept here. Nobody is asked."""

    def current(self) -> str:
        """The id of the key that wraps now. Raises :class:`SealedError` when there is none."""

    def holds(self, key_id: str) -> bool:
        """Whether what this key wrapped can be opened."""

    def is_local(self, key_id: str) -> bool:
        """Whether what this key wrapped is opened here, and nobody is asked."""

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """The data key wrapped by the current key for ``context``, and that key's id.

        Raises :class:`SealedError`.
        """

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key. Raises :class:`SealedError` without the key that wrapped it,
        :class:`IntegrityError` for bytes that are not what was wrapped for ``context``.
        """


class LocalKeys:
    """Key texts of our own, the current one first: from a file, or from the environment."""

    def __init__(self, texts: tuple[str, ...] = (), path: Path | None = None) -> None:
        self._texts, self._path = texts, path
        self._read: tuple[object, dict[str, bytes]] = (None, {})

    def current(self) -> str:
        """See :class:`KeyProvider`."""
        found = next(iter(self._keys()), None)
        if found is None:
            raise SealedError(NO_KEY)
        return found

    def names(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        return key_id in self._keys()

    def holds(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        return key_id in self._keys()

    def is_local(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        return self.holds(key_id)

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """See :class:`KeyProvider`."""
        keys = self._keys()
        if not keys:
            raise SealedError(NO_KEY)
        key_id, key = next(iter(keys.items()))
        nonce = secrets.token_bytes(sealing.NONCE_BYTES)
        wrapped = sealing.seal(data_key, key=key, nonce=nonce, context=_named(context, key_id))
        return key_id, wrapped

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`KeyProvider`."""
        key = self._keys().get(key_id)
        if key is None:
            raise SealedError(NO_KEY)
        return sealing.unseal(wrapped, key=key, context=_named(context, key_id))

    def _keys(self) -> dict[str, bytes]:
        """Keys by id; a file is read again whenever it has changed. What cannot be read has none."""
        if self._path is None:
            return self._derived(self._texts, lambda: self._texts)
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
            return self._derived(stamp, partial(read_key_file, self._path))
        except (OSError, ValueError):  # not there, or not text
            return {}

    def _derived(self, stamp: object, read: Callable[[], Iterable[str]]) -> dict[str, bytes]:
        known, keys = self._read
        if known != stamp:
            keys = {sealing.key_id(text): sealing.derive_key(text) for text in read()}
            self._read = (stamp, keys)
        return keys


def read_key_file(path: Path) -> list[str]:
    """The key texts in a key file, one on each line, the current one first."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def _named(context: bytes, key_id: str) -> bytes:
    return context + b"\n" + key_id.encode()


_made: tuple[dict[str, Any], KeyProvider] | None = None


class SeveralKeys:
    """Several providers: the first one wraps, and each opens what it has wrapped."""

    def __init__(self, providers: Sequence[KeyProvider]) -> None:
        self._providers = providers

    def current(self) -> str:
        """See :class:`KeyProvider`."""
        return self._providers[0].current()

    def names(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        return self._keeper(key_id) is not None

    def holds(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        keeper = self._keeper(key_id)
        return keeper is not None and keeper.holds(key_id)

    def is_local(self, key_id: str) -> bool:
        """See :class:`KeyProvider`."""
        keeper = self._keeper(key_id)
        return keeper is not None and keeper.is_local(key_id)

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """See :class:`KeyProvider`."""
        return self._providers[0].wrap(data_key, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`KeyProvider`."""
        first = self._providers[0]
        try:  # mostly it is this one's, and a file is looked at once
            return first.unwrap(key_id, wrapped, context)
        except SealedError:
            keeper = self._keeper(key_id)
            if keeper is None or keeper is first:
                raise
        return keeper.unwrap(key_id, wrapped, context)

    def _keeper(self, key_id: str) -> KeyProvider | None:
        return next((each for each in self._providers if each.names(key_id)), None)


def key_provider() -> KeyProvider:
    """All providers that are set up; the one that the settings name wraps."""
    global _made  # noqa: PLW0603 - one pair, so that no other thread sees half of it
    chosen, made = settings.KEY_PROVIDER, _made
    if made is None or made[0] != chosen:
        _made = made = (dict(chosen), _make(chosen))
    return made[1]


def _make(chosen: dict[str, Any]) -> KeyProvider:
    made: dict[str, KeyProvider] = {"file": LocalKeys(path=Path(chosen["file"]))}
    if chosen["keys"]:
        made["environment"] = LocalKeys(texts=tuple(chosen["keys"]))
    if chosen["transit_url"]:
        from apps.vault.transit import TransitKeys  # Vault's client adds a tenth to each start

        made["transit"] = TransitKeys(
            chosen["transit_url"],
            chosen["transit_token"],
            chosen["transit_key"],
            chosen["transit_mount"],
        )
    first = made.pop(chosen["wraps"])
    return SeveralKeys([first, *made.values()])
