"""Archives in S3-compatible storage, by boto3.

The address (see ``apps.core.outgoing.read_s3``) is judged each time before it is used, and
called over TLS alone: a host that answered for another address than the judged one would need its
certificate.
"""

import contextlib
import secrets
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any, Final

import certifi

from apps.backups.stores import SUFFIX, Stored, check_name
from apps.backups.work import working_in
from apps.core.addresses import find_address
from apps.core.outgoing import S3Address
from apps.engine.archives import MAX_START
from apps.engine.errors import NOTHING_HERE, NotFoundError, UnavailableError

ATTEMPTS: Final = 4
CONNECT_WITHIN: Final = 5
READ_WITHIN: Final = 60
STARTS: Final = ".starts"
MISSING: Final = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The id of an access key, and the key; ``authorities`` (PEM) that verify the storage, if any."""

    login: str
    key: str
    authorities: str = ""


class S3Store:
    """See :class:`Store`. ``work`` is a folder of this machine for what is fetched.

    What was fetched is kept until :meth:`close`, since a restore reads each archive more than once.
    """

    def __init__(self, address: S3Address, credentials: Credentials, work: Path) -> None:
        self._address, self._credentials, self._work = address, credentials, work
        self._fetched: Path | None = None
        self._held = contextlib.ExitStack()

    def list(self) -> list[Stored]:
        """See :class:`Store`."""
        with self._client() as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.bucket, Prefix=self._address.prefix, Delimiter="/"
            )
            found = [
                Stored(each["Key"].removeprefix(self._address.prefix), each["Size"])
                for page in pages
                for each in page.get("Contents", ())
            ]
        ours = (each for each in found if each.name.endswith(SUFFIX) and each.name[0] != ".")
        stored = sorted(
            (each for each in ours if each.name.isprintable()), key=lambda each: each.name
        )
        self._forget_all_but({each.name for each in stored})
        return stored

    def start(self, name: str) -> bytes:
        """See :class:`Store`. What was asked before is kept in the work folder: archives never change."""
        kept = self._starts() / check_name(name)
        with contextlib.suppress(OSError):
            return kept.read_bytes()
        with self._client() as client:
            answer = client.get_object(
                Bucket=self._address.bucket, Key=self._key(name), Range=f"bytes=0-{MAX_START - 1}"
            )
            found = bytes(answer["Body"].read())
        behind = found.find(b"\n", found.find(b"\n") + 1) + 1
        found = found[:behind] if behind else found
        part = kept.with_name(f".{secrets.token_hex(8)}")
        with contextlib.suppress(OSError):  # it is asked again; half a header would stay for ever
            part.write_bytes(found)
            part.rename(kept)
        return found

    def put(self, path: Path, name: str) -> None:
        """See :class:`Store`. In parts where it is large; it appears when all of them are there."""
        with self._client() as client:
            client.upload_file(str(path), self._address.bucket, self._key(name))

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See :class:`Store`."""
        path = self._folder() / check_name(name)
        if not path.exists():
            with self._client() as client, NamedTemporaryFile(dir=self._folder()) as part:
                client.download_fileobj(self._address.bucket, self._key(name), part)
                part.flush()
                shutil.copyfile(part.name, path)
        with path.open("rb") as file:
            yield file

    def delete(self, name: str) -> None:
        """See :class:`Store`."""
        with self._client() as client:
            client.delete_object(Bucket=self._address.bucket, Key=self._key(name))

    def close(self) -> None:
        """Forget what was fetched."""
        self._held.close()
        self._fetched = None

    def _key(self, name: str) -> str:
        return self._address.prefix + check_name(name)

    def _folder(self) -> Path:
        if self._fetched is None:
            self._held.enter_context(working_in(self._work))
            folder = TemporaryDirectory(dir=self._work, prefix=".fetched-")
            self._fetched = Path(self._held.enter_context(folder))
        return self._fetched

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of boto3; what goes wrong is said in our words."""
        import boto3  # slow to load, and seldom needed
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        address = self._address
        find_address(address.host, address.port)
        with _authorities(self._credentials.authorities) as verify:
            client = boto3.client(
                "s3",
                endpoint_url=address.endpoint,
                region_name=address.region or "us-east-1",
                aws_access_key_id=self._credentials.login,
                aws_secret_access_key=self._credentials.key,
                verify=verify,
                config=Config(
                    connect_timeout=CONNECT_WITHIN,
                    read_timeout=READ_WITHIN,
                    retries={"max_attempts": ATTEMPTS, "mode": "standard"},
                    s3={"addressing_style": "path"},
                    proxies={},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
            try:
                yield client
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in MISSING:
                    raise NotFoundError(NOTHING_HERE) from None
                raise UnavailableError(f"The storage of backups refused: {code}.") from None
            except (BotoCoreError, Boto3Error, ssl.SSLError, OSError) as error:
                kind = type(error).__name__
                raise UnavailableError(f"The storage of backups failed: {kind}.") from None

    def _forget_all_but(self, names: set[str]) -> None:
        for kept in self._starts().iterdir():
            if kept.name not in names:
                kept.unlink(missing_ok=True)

    def _starts(self) -> Path:
        folder = self._work / STARTS
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


@contextlib.contextmanager
def _authorities(text: str) -> Iterator[str]:
    """The path of a file with the certificates that the storage is verified by."""
    if not text:
        yield certifi.where()
        return
    with NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name
