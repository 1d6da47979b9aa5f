"""Set up what is missing, and serve."""

import argparse
import errno
import os
import resource
import secrets
import signal
import socket
import threading
from multiprocessing import resource_tracker
from pathlib import Path
from typing import IO, Any

import uvicorn
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from apps.access.people import create_superuser
from apps.access.selectors import get_account
from apps.access.services import create_account, create_token, grant
from apps.configs.services.demonstration import load_demonstration
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.core.folder_lock import SERVER, hold
from apps.core.models import User
from apps.core.safety import LOOPBACK, refuse_unsafe
from apps.core.transactions import writing
from apps.delivery.schema import bring_up_to_date, one_start_at_a_time
from apps.engine.errors import NotFoundError
from apps.rollouts.demonstration import load_experiments

READER = "demo-reader"
ADMIN = "admin"
STOP_WITHIN = 3
LAST_PORT = 65_535
ANY_ADDRESS = ("0.0.0.0", "::", "[::]")  # noqa: S104 - recognised, and warned of


class Command(QuickCommand):
    """``manage.py serve``: keys, database, first administrator, demonstration, server."""

    help = "Set up what is missing and serve the portal, the API and the streams."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the contract."""
        parser.add_argument("--data", help="the data folder (CONFIGSVC_DATA_DIR); default var")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=1)
        parser.add_argument("--no-demo", action="store_true", help="no demonstration data")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Refuse what is unsafe, prepare, print where to go, and serve until stopped.

        What a first start makes and shows it makes and shows once: so all refusals come before.
        """
        if options["workers"] > 1 and connection.vendor == "sqlite":
            raise CommandError(
                "SQLite is for one server process. Set DATABASE_URL to a PostgreSQL database to "
                "use --workers."
            )
        self._refuse_debug(options["host"])
        lock = self._lock_data_folder()
        refuse_address(options["host"], options["port"])
        refuse_unsafe(tables=False)
        self._warn_of(options["host"])
        take_open_files()
        self._prepare(options)
        connection.close()
        if options["workers"] > 1:
            _keep_interrupts_from_workers()
        uvicorn.run(
            "configsvc.asgi:application",
            host=options["host"],
            port=options["port"],
            workers=options["workers"] if options["workers"] > 1 else None,
            lifespan="on",
            http="apps.delivery.protocol:RepeatingProtocol",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=STOP_WITHIN,
            ws_max_size=2**17,
            ws_per_message_deflate=False,  # each socket would compress what all get, and take twice the memory
            proxy_headers=settings.SESSION_COOKIE_SECURE,
            forwarded_allow_ips=settings.PROXY_ADDRESSES,
        )
        if lock is not None:
            lock.close()

    def _lock_data_folder(self) -> IO[str] | None:
        try:
            return hold(SERVER)
        except BlockingIOError as error:
            folder = Path(str(settings.DATABASES["default"]["NAME"])).parent
            raise CommandError(
                f"Another server runs on the data folder {folder}. Stop it, choose another "
                "folder with --data, or set DATABASE_URL to use PostgreSQL."
            ) from error

    def _prepare(self, options: dict[str, Any]) -> None:
        self.stdout.write("Preparing the database …")
        with one_start_at_a_time():
            bring_up_to_date()
            refuse_unsafe()
            first = not User.objects.exists()
            if first:
                password, raw = self._begin(demonstration=not options["no_demo"])
        host = "127.0.0.1" if options["host"] in ANY_ADDRESS else options["host"]
        address = f"http://{host}:{options['port']}{settings.PATH_PREFIX}"
        self.stdout.write("")
        self.stdout.write(f"Portal    {address}/admin/")
        self.stdout.write(f"User      {ADMIN}")
        if first:
            example = "services" if options["no_demo"] else "config/checkout?environment=production"
            self.stdout.write(f"Password  {password}   (shown once)")
            self.stdout.write("Try       ", ending="")
            self.stdout.write(f"curl -H 'Authorization: Bearer {raw}' '{address}/{example}'")
        else:
            self.stdout.write(
                "Password  as before; `manage.py changepassword admin` sets a new one"
            )
        self.stdout.write(f"API       {address}/docs")

    def _begin(self, *, demonstration: bool) -> tuple[str, str]:
        """The first administrator's password, and a read token, with the demonstration.

        All or nothing: a first start that is interrupted has not been one.
        """
        password = secrets.token_urlsafe(12)
        with writing():
            create_superuser(actor=system("serve"), username=ADMIN, password=password)
            if demonstration:
                self.stdout.write("Loading the demonstration, a shop's platform:")
                folder = settings.BASE_DIR / "deploy" / "demo"
                load_demonstration(folder / "shop.yaml", self.stdout.write)
                load_experiments(folder / "experiments.yaml", self.stdout.write)
            return password, _reader_token()

    def _refuse_debug(self, host: str) -> None:
        if settings.DEBUG and host not in LOOPBACK:
            raise CommandError(
                f"CONFIGSVC_DEBUG is on and --host {host} is reached from the network: turn it "
                "off, or serve on 127.0.0.1."
            )

    def _warn_of(self, host: str) -> None:
        if host in LOOPBACK:
            return
        if not settings.SESSION_COOKIE_SECURE:
            self.stderr.write(
                self.style.WARNING(
                    f"WARNING: serving on {host} without TLS: passwords and tokens can be read on "
                    "the network. Put a TLS proxy before it and set CONFIGSVC_BEHIND_TLS=true."
                )
            )
        if not [each for each in settings.ALLOWED_HOSTS if each not in LOOPBACK]:
            named = [] if host in ANY_ADDRESS else [host]
            hosts = ",".join([*settings.ALLOWED_HOSTS, *named])
            os.environ["CONFIGSVC_ALLOWED_HOSTS"] = hosts  # noqa: TID251 - for worker processes
            settings.ALLOWED_HOSTS[:] = hosts.split(",")
            self.stderr.write(
                "Answering only to the names "
                f"{hosts}. Set CONFIGSVC_ALLOWED_HOSTS to the names that clients use."
            )


def _keep_interrupts_from_workers() -> None:
    """A terminal sends its SIGINT to all processes, and Python answers it with a traceback until it serves.

    Workers begin with it blocked, as the thread that begins them is, and end when this process tells them to;
    a thread of its own hears it here (``signal(7)``, "Signal mask and pending signals").
    """
    resource_tracker.ensure_running()  # which lets SIGINT through again once it has begun
    threading.Thread(target=threading.Event().wait, name="hears-sigint", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def take_open_files() -> int:
    """Take as many open files as this process may, which each stream is one of; gives how many. Shells and
    service managers leave 1,024, for programs that use ``select`` (systemd, "File Descriptor Limits").
    """
    _usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def refuse_address(host: str, port: int) -> None:
    """Raise :class:`CommandError` where nothing can be served at all, or something is served already."""
    named = f"--host {host} --port {port} cannot be served on"
    if not 0 < port <= LAST_PORT:
        raise CommandError(f"--port is 1 to {LAST_PORT}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        refused = [_bind(family, address) for family, _kind, _protocol, _name, address in found]
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", "") or "this is no name of a host"
        raise CommandError(f"{named}: {said}. Choose another.") from error
    absent = [each for each in refused if each and each.errno == errno.EADDRNOTAVAIL]
    wrong = [each for each in refused if each and each not in absent]
    if wrong or len(absent) == len(found):
        said = (wrong or absent)[0].strerror
        raise CommandError(f"{named}: {said}. Choose others, or stop what is served there.")


def _bind(family: int, address: Any) -> OSError | None:
    """What keeps a server from this address: as asyncio binds it, and let go at once."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _reader_token() -> str:
    actor = system("serve")
    try:
        account = get_account(READER)
    except NotFoundError:
        account = create_account(actor=actor, slug=READER, description="Reads everything")
        grant(actor=actor, to=f"service-account:{READER}", role="viewer")
    _token, raw = create_token(actor=actor, account=account, name="printed at the first start")
    return raw
