"""Keys kept by another server. Imported where the settings say so: its client loads slowly."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import hvac
import requests

from apps.engine.errors import IntegrityError, SealedError
from apps.vault.providers import NO_KEY

ANSWER_WITHIN = 5
NOT_ITS_OWN = "The key service gave an answer that is not its own."
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]*):[!-~]+")


class TransitKeys:
    """The Transit engine of HashiCorp Vault or OpenBao: keys that never leave that server.

    The key id ``transit:NAME:vN`` is bound to what it wrapped without being additional data: Transit
    opens a ciphertext by the version in its prefix ``vault:vN:`` alone, under which nothing opens
    that another version sealed, so a key id is taken only with the prefix of its own version. What
    was wrapped before this was asked has that prefix too, and goes on opening.
    """

    def __init__(self, url: str, token: str, name: str, mount: str) -> None:
        self.name, self.mount = name, mount
        client = hvac.Client(url=url, token=token, timeout=ANSWER_WITHIN)
        self._transit: Any = client.secrets.transit

    def current(self) -> str:
        """See :class:`apps.vault.providers.KeyProvider`."""
        return self._key_id(str(_number(self._ask("read_key"), "latest_version")))

    def names(self, key_id: str) -> bool:
        """See :class:`apps.vault.providers.KeyProvider`."""
        return key_id.startswith(self._key_id(""))

    def holds(self, key_id: str) -> bool:
        """See :class:`apps.vault.providers.KeyProvider`."""
        version = key_id.removeprefix(self._key_id(""))
        if version == key_id or re.fullmatch("[1-9][0-9]*", version) is None:
            return False
        key = self._ask("read_key")
        oldest, latest = _number(key, "min_decryption_version"), _number(key, "latest_version")
        return oldest <= int(version) <= latest

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """See :class:`apps.vault.providers.KeyProvider`."""
        answer = self._ask(
            "encrypt_data",
            plaintext=base64.b64encode(data_key).decode(),
            associated_data=base64.b64encode(context).decode(),
        )
        ciphertext = _text(answer, "ciphertext")
        match = _CIPHERTEXT.fullmatch(ciphertext)
        if match is None:
            raise SealedError(NOT_ITS_OWN)
        return self._key_id(match[1]), ciphertext.encode()

    def is_local(self, _key_id: str) -> bool:
        """See :class:`apps.vault.providers.KeyProvider`."""
        return False

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`apps.vault.providers.KeyProvider`."""
        if not self.names(key_id):
            raise SealedError(NO_KEY)
        ciphertext = wrapped.decode("ascii", "replace")
        match = _CIPHERTEXT.fullmatch(ciphertext)
        if match is None or self._key_id(match[1]) != key_id:
            raise IntegrityError("A wrapped key is damaged, or bears another key's name.")
        try:
            answer = self._ask(
                "decrypt_data",
                ciphertext=ciphertext,
                associated_data=base64.b64encode(context).decode(),
            )
        except IntegrityError:
            if not self.holds(key_id):  # the key service refuses what is too old in the same words
                raise SealedError(NO_KEY) from None
            raise
        try:
            return base64.b64decode(_text(answer, "plaintext"), validate=True)
        except ValueError:
            raise SealedError(NOT_ITS_OWN) from None

    def _key_id(self, version: str) -> str:
        return f"transit:{self.name}:v{version}"

    def _ask(self, action: str, **arguments: str) -> dict[str, Any]:
        try:
            answer = getattr(self._transit, action)(
                name=self.name, mount_point=self.mount, **arguments
            )
            data = answer["data"]
        except hvac.exceptions.InvalidRequest as error:
            if action == "decrypt_data":
                raise IntegrityError("A wrapped key does not open at the key service.") from error
            raise SealedError("The key service refused the request.") from error
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            raise SealedError("The key service does not answer.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise SealedError(NOT_ITS_OWN) from error
        if not isinstance(data, dict):
            raise SealedError(NOT_ITS_OWN)
        return data


def _number(data: Mapping[str, Any], name: str) -> int:
    found = data.get(name)
    if type(found) is not int or found < 0:
        raise SealedError(NOT_ITS_OWN)
    return found


def _text(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name)
    if not isinstance(found, str):
        raise SealedError(NOT_ITS_OWN)
    return found
