"""The configuration of one service, as a program sees it."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from configsvc_client.copies import Copy
from configsvc_client.first import first_snapshot
from configsvc_client.keys import Pattern, find, own, parse
from configsvc_client.remote import Remote
from configsvc_client.settings import check_sendable, read_token, variable
from configsvc_client.signatures import Keys, Signatures
from configsvc_client.state import State
from configsvc_client.timing import Timing
from configsvc_client.watching import Watcher
from configsvc_client.wire import Verify, Wire

logger = logging.getLogger(__name__)


class Config:
    """The configuration of ``service``; ``get`` answers from memory, with the values' own types.

    ``url``, ``token``, ``environment``, ``instance``, ``cache_dir`` and ``verify`` come from
    ``CONFIGSVC_URL``, ``CONFIGSVC_TOKEN`` (or the file that ``CONFIGSVC_TOKEN_FILE`` names, which is
    read anew for each request), ``CONFIGSVC_ENVIRONMENT``, ``CONFIGSVC_INSTANCE``,
    ``CONFIGSVC_CACHE_DIR`` and ``CONFIGSVC_CA_FILE`` when they are not given. ``verify`` is ``True``,
    a file of certificate authorities, or ``False``.

    ``unit`` is whom experiments go by, one of a customer or a machine: it is served the variant that it
    is in, and the same one each time.

    ``signed_by`` (or the file that ``CONFIGSVC_KEYS_FILE`` names) is the JSON Web Key Set of the
    server, from ``/.well-known/jwks.json``, got by a way that is trusted: then answers must be signed by
    one of its keys, be about this service and environment (none given: that of the first answer), and
    never go back within an epoch. This alone needs the package ``cryptography``.

    It is fetched once when made, and followed from ``start``, ``on_change`` or ``with`` on. The last
    good copy is kept in ``cache_dir`` and used, marked ``stale``, when the server is away at the start
    or refuses. Raises :class:`ConfigError` when there is no such copy either, :class:`ValueError` for
    a URL, token, instance or unit that cannot be sent, :class:`OSError` for a file of authorities that
    cannot be read.
    """

    def __init__(
        self,
        service: str,
        *,
        environment: str | None = None,
        url: str | None = None,
        token: str | None = None,
        instance: str | None = None,
        unit: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        verify: Verify | None = None,
        timing: Timing | None = None,
        signed_by: Keys | None = None,
    ) -> None:
        self.service = service
        self._environment = environment or variable("ENVIRONMENT")
        self._url = url or variable("URL") or "http://127.0.0.1:8000"
        self._given_token = token
        self._instance = instance or variable("INSTANCE")
        self._unit = unit
        self._verify = variable("CA_FILE") or True if verify is None else verify
        self._timing = timing or Timing()
        trusted = signed_by or variable("KEYS_FILE")
        self._signatures = Signatures(trusted, service, self._environment) if trusted else None
        check_sendable("instance", self._instance or "")
        check_sendable("unit", unit or "")
        folder = cache_dir or variable("CACHE_DIR")
        copy = Copy(Path(folder), service, self._environment, unit) if folder else None
        if self._verify is False and self._url.startswith("https:"):
            logger.warning("The server's certificate is not verified.")
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._state = State(first_snapshot(self._remote(), copy), copy)

    @property
    def document(self) -> Any:
        """The whole configuration, as a copy that is the caller's own."""
        return own(self._state.snapshot.document)

    @property
    def version(self) -> int:
        """The version that is in use."""
        return self._state.snapshot.version

    @property
    def stale(self) -> bool:
        """Whether it is the copy on disk, or the server answers without its database."""
        return self._state.snapshot.stale

    @property
    def retired(self) -> bool:
        """Whether the configuration was retired; what it was last stays in use."""
        return self._state.snapshot.retired

    def get(self, key: str, default: Any = None) -> Any:
        """The value at ``settings.timeout``, ``hosts[0]`` or ``settings["a.b"]``, else ``default``.

        Objects and lists are copies. Raises :class:`ValueError` for a text that is no key.
        """
        found, value = find(self._state.snapshot.document, parse(key))
        return own(value) if found else default

    def on_change(self, callback: Callable[["Config"], object], key: str = "") -> None:
        """Call ``callback(config)`` after each new state, or after changes of ``key``; starts watching.

        ``key`` may be a pattern (``settings.**``, ``*.timeout``). Callbacks run one after the other in
        the watching thread: one that takes long delays the next change, one that fails is logged.
        Raises :class:`ValueError` for a text that is no pattern.
        """
        self._state.listen(lambda: callback(self), Pattern(key) if key else None)
        self.start()

    def start(self) -> None:
        """Watch in a daemon thread; harmless when it runs already. A forked process starts its own."""
        with self._lock:
            if self._watcher is None or not self._watcher.is_running:
                self._watcher = Watcher([(self._remote(), self._state)], self._timing)
                self._watcher.start()

    def close(self) -> None:
        """Stop watching; what is in memory stays, and ``start`` goes on from there."""
        with self._lock:
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Config {self.service} version {self.version}>"

    def _remote(self) -> Remote:
        return Remote(
            Wire(self._url, self._verify),
            self._token,
            service=self.service,
            environment=self._environment,
            instance=self._instance,
            unit=self._unit,
            timing=self._timing,
            signatures=self._signatures,
        )

    def _token(self) -> str:
        return read_token(self._given_token)
