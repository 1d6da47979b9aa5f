"""Keys kept by another server. Imported where the settings say so: its client loads slowly."""

import base64
import re
from typing import Any

import hvac
import requests

from apps.engine.errors import IntegrityError, SealedError
from apps.vault.providers import NO_KEY

ANSWER_WITHIN = 5


class TransitKeys:
    """The Transit engine of HashiCorp Vault or OpenBao: keys that never leave that server."""

    def __init__(self, url: str, token: str, name: str, mount: str) -> None:
        self.name, self.mount = name, mount
        client = hvac.Client(url=url, token=token, timeout=ANSWER_WITHIN)
        self._transit: Any = client.secrets.transit

    def current(self) -> str:
        """See :class:`apps.vault.providers.KeyProvider`."""
        key = self._ask("read_key")
        return self._key_id(str(key["latest_version"]))

    def holds(self, key_id: str) -> bool:
        """See :class:`apps.vault.providers.KeyProvider`."""
        if not key_id.startswith(self._key_id("")):
            return False
        key = self._ask("read_key")
        version = int(key_id.rpartition(":v")[2])
        return int(key["min_decryption_version"]) <= version <= int(key["latest_version"])

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """See :class:`apps.vault.providers.KeyProvider`."""
        ciphertext = self._ask(
            "encrypt_data",
            plaintext=base64.b64encode(data_key).decode(),
            associated_data=base64.b64encode(context).decode(),
        )["ciphertext"]
        match = re.fullmatch(r"vault:v(\d+):.+", ciphertext)
        if match is None:
            raise SealedError("The key service gave an answer that is not its own.")
        return self._key_id(match.group(1)), ciphertext.encode()

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`apps.vault.providers.KeyProvider`."""
        if not key_id.startswith(self._key_id("")):
            raise SealedError(NO_KEY)
        try:
            ciphertext = wrapped.decode("ascii")
        except UnicodeDecodeError:
            raise IntegrityError("A wrapped key is damaged: it does not open.") from None
        try:
            plaintext = self._ask(
                "decrypt_data",
                ciphertext=ciphertext,
                associated_data=base64.b64encode(context).decode(),
            )["plaintext"]
        except IntegrityError:
            if not self.holds(key_id):  # the key service refuses what is too old in the same words
                raise SealedError(NO_KEY) from None
            raise
        return base64.b64decode(plaintext)

    def _key_id(self, version: str) -> str:
        return f"transit:{self.name}:v{version}"

    def _ask(self, action: str, **arguments: str) -> dict[str, Any]:
        try:
            answer = getattr(self._transit, action)(
                name=self.name, mount_point=self.mount, **arguments
            )
            data: dict[str, Any] = answer["data"]
        except hvac.exceptions.InvalidRequest as error:
            if action == "decrypt_data":
                raise IntegrityError("A wrapped key does not open at the key service.") from error
            raise SealedError("The key service refused the request.") from error
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            raise SealedError("The key service does not answer.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise SealedError("The key service gave an answer that is not its own.") from error
        return data
