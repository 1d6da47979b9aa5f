"""The password of a PostgreSQL role: two roles in turn, so that nobody is locked out.

The password is given to the server as a SCRAM verifier (RFC 5802, 7677) that is computed here, so
the clear text is in no statement and in no log of the server. It is then tried by logging in, with
SCRAM demanded: a server that trusts everybody would prove nothing.
"""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from apps.core.addresses import find_address
from apps.core.models import Connection
from apps.engine.errors import invalid
from apps.engine.values import Tree
from apps.vault.rotators.base import Option, Rotator, RotatorError, Task
from apps.vault.rotators.generated import SHAPE, check_shape, new_password

if TYPE_CHECKING:
    import psycopg

PORT = 5432
CONNECT_WITHIN = 10
STATEMENT_MILLISECONDS = 10_000
SCRAM = "scram-sha-256"
DISABLED_LENGTH = 64


def read_postgres(text: str) -> tuple[str, int, str]:
    """Host, port and database of ``postgres://host:port/database``. Raises :class:`InvalidError`."""
    wrong = invalid(
        "/address", "address", "This is postgres://HOST:PORT/DATABASE, without user and password."
    )
    try:
        parts = urlsplit(text)
        port = parts.port or PORT
    except ValueError:
        raise wrong from None
    database = unquote(parts.path.removeprefix("/"))
    plain = parts.hostname and parts.username is None and not parts.query and not parts.fragment
    if parts.scheme not in ("postgres", "postgresql") or not plain or not text.isprintable():
        raise wrong
    if not database or "," in str(parts.hostname):
        raise wrong
    return str(parts.hostname), port, database


class PostgresRole(Rotator):
    """Two roles of the same rights; a rotation gives the one that is not in use a new password."""

    name = "postgres"
    title = "PostgreSQL role"
    needs = "postgres"
    alternates = True
    options = (Option("roles", "The two roles", "names", least=2, most=2), *SHAPE)

    def check(self, options: Mapping[str, Any], connection: Connection | None) -> None:
        """See :class:`Rotator`."""
        check_shape(options)
        roles = options["roles"]
        allowed = connection.roles if connection else []
        if roles[0] == roles[1] or any(each not in allowed for each in roles):
            raise invalid(
                "/rotation/roles",
                "roles",
                "These are two different roles of those that the connection allows.",
            )

    def create(self, task: Task) -> Tree:
        """See :class:`Rotator`."""
        host, port, database = read_postgres(_connection(task).address)
        return {
            "username": self._other(task),
            "password": new_password(task.options),
            "host": host,
            "port": port,
            "database": database,
        }

    @staticmethod
    def _other(task: Task) -> str:
        first, second = task.options["roles"]
        used = _member(task.current, "username")
        if used not in (first, second):
            raise RotatorError(
                "The current value must be an object whose 'username' is one of the two roles: "
                "else it is not known which of them is in use."
            )
        return str(second if used == first else first)

    def set(self, task: Task) -> None:
        """See :class:`Rotator`."""
        role, password = _member(task.pending, "username"), _member(task.pending, "password")
        if role == _member(task.current, "username"):
            raise RotatorError("The pending value is of the role that is in use.")
        _set_password(task, role, password)

    def test(self, task: Task) -> None:
        """See :class:`Rotator`."""
        role, password = _member(task.pending, "username"), _member(task.pending, "password")
        with _logged_in(_connection(task), role, password) as opened:
            opened.execute("SELECT 1")

    def retire(self, task: Task, value: Tree) -> None:
        """Give the role of an earlier value a password that nobody knows, unless it is in use."""
        role = _member(value, "username")
        used = (_member(task.current, "username"), _member(task.pending, "username"))
        if role in task.options["roles"] and role not in used:
            _set_password(task, role, secrets.token_urlsafe(DISABLED_LENGTH))


def _member(value: Tree, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _connection(task: Task) -> Connection:
    if task.connection is None:
        raise RotatorError("The rotation has no connection any more.")
    return task.connection


def _set_password(task: Task, role: str, password: str) -> None:
    target = _connection(task)
    if role not in target.roles:
        raise RotatorError("The connection does not allow this role.")
    from psycopg import sql  # slow to load, and seldom needed where the database is SQLite

    with _logged_in(target, target.login, task.text_credential()) as opened:
        verifier = opened.pgconn.encrypt_password(password.encode(), role.encode(), SCRAM.encode())
        opened.execute(
            sql.SQL("ALTER ROLE {} WITH PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier.decode())
            )
        )


@contextlib.contextmanager
def _logged_in(
    target: Connection, user: str, password: str
) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """A session at the address that was looked up once and judged."""
    import psycopg

    host, port, database = read_postgres(target.address)
    verified = target.tls == "verify-full"
    with _authorities(target.authorities if verified else None) as file, _in_our_words():
        opened = psycopg.connect(
            host=host,
            hostaddr=find_address(host, port),
            port=port,
            dbname=database,
            user=user,
            password=password,
            sslmode=target.tls,
            sslrootcert=file,
            gssencmode="disable",
            require_auth=SCRAM,
            passfile="",
            connect_timeout=CONNECT_WITHIN,
            options=f"-c statement_timeout={STATEMENT_MILLISECONDS}",
            application_name="configsvc rotation",
            autocommit=True,
        )
        with contextlib.closing(opened):
            yield opened


@contextlib.contextmanager
def _authorities(text: str | None) -> Iterator[str]:
    """The name of a file with the certificate authorities, which the library wants; empty text
    stands for those of the system, ``None`` for none.
    """
    if not text:
        yield "system" if text is not None else ""
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """PostgreSQL's own messages may repeat a statement: their class and code alone are kept."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        code = f" ({error.sqlstate})" if error.sqlstate else ""
        raise RotatorError(f"PostgreSQL refused: {type(error).__name__}{code}.") from None
