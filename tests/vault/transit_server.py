"""A small Transit engine that keeps to its documented HTTP API, with faults. It is not Vault itself.

The documentation: "Transit secrets engine (API)" of HashiCorp Vault, encrypt, decrypt, read key and
rotate, with ``associated_data``.
"""

import base64
import contextlib
import json
import secrets
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.receivers import Handler, listening

TOKEN = "hvs.test-token"
MEMBERS = ("latest_version", "min_decryption_version", "ciphertext", "plaintext")
FAULTS = {
    "garbage": (200, b"<html>"),
    "empty": (200, {}),
    "broken": (500, {"errors": ["internal error"]}),
    "standby": (503, {"errors": ["Vault is sealed"]}),
    "no data": (200, {"data": {}}),
    "null data": (200, {"data": None}),
    "a list for data": (200, {"data": []}),
    "a list": (200, []),
    "nulls": (200, {"data": dict.fromkeys(MEMBERS)}),
    "lists": (200, {"data": {name: [] for name in MEMBERS}}),
    "texts": (200, {"data": dict.fromkeys(MEMBERS, "not base64!")}),
    "letters beyond": (200, {"data": dict.fromkeys(MEMBERS, "vault:v1:\u00e9")}),
    "version nought": (200, {"data": dict.fromkeys(MEMBERS, "vault:v0:AAAA")}),
    "numbers": (200, {"data": dict.fromkeys(MEMBERS, -1)}),
    "fractions": (200, {"data": dict.fromkeys(MEMBERS, 1.5)}),
    "truths": (200, {"data": dict.fromkeys(MEMBERS, True)}),
}


class Transit:
    """The engine's state. ``fault`` makes the next answers wrong; each answer waits for
    ``meanwhile``, which is given what was asked.
    """

    def __init__(self):
        self.keys = [AESGCM(secrets.token_bytes(32))]
        self.fault, self.least = "", 1
        self.meanwhile = lambda _asked: None

    def encrypt(self, body):
        nonce = secrets.token_bytes(12)
        extra = base64.b64decode(body.get("associated_data", ""))
        plain = base64.b64decode(body["plaintext"])
        sealed = nonce + self.keys[-1].encrypt(nonce, plain, extra)
        return {"ciphertext": f"vault:v{len(self.keys)}:{base64.b64encode(sealed).decode()}"}

    def decrypt(self, body):
        _vault, version, text = body["ciphertext"].split(":")
        number = int(version[1:])
        if number < self.least:
            raise ValueError("ciphertext or signature version is disallowed by policy (too old)")
        sealed = base64.b64decode(text)
        extra = base64.b64decode(body.get("associated_data", ""))
        plain = self.keys[number - 1].decrypt(sealed[:12], sealed[12:], extra)
        return {"plaintext": base64.b64encode(plain).decode()}


@contextlib.contextmanager
def serving():
    """The engine, listening at its ``url``."""
    state = Transit()

    class Asked(Handler):
        def asked(self):
            if state.fault == "slow":
                time.sleep(8)
            if state.fault in FAULTS:
                return self.answer(*FAULTS[state.fault])
            if self.headers.get("X-Vault-Token") != TOKEN:
                return self.answer(403, {"errors": ["permission denied"]})
            parts = self.path.strip("/").split("/")
            if parts[:2] != ["v1", "transit"] or parts[3:4] != ["configsvc"]:
                return self.answer(404, {"errors": []})
            state.meanwhile(parts[2])
            try:
                if parts[2] == "keys" and self.command == "GET":
                    versions = {
                        "latest_version": len(state.keys),
                        "min_decryption_version": state.least,
                    }
                    return self.answer(200, {"data": versions})
                return self.answer(200, {"data": getattr(state, parts[2])(json.loads(self.body()))})
            except (InvalidTag, ValueError) as error:
                return self.answer(400, {"errors": [str(error) or "message authentication failed"]})

    with listening(Asked) as port:
        state.url = f"http://127.0.0.1:{port}"
        yield state
