"""What auditors do from a shell: verify the ledger, write signed checkpoints."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.audit.checkpoints import write_checkpoint
from apps.audit.verification import verify
from apps.core.actor import system
from apps.core.commands import QuickCommand
from apps.engine.errors import DomainError


class Command(QuickCommand):
    """``manage.py audit verify`` and ``manage.py audit checkpoint``, also beside a running server."""

    help = "Verify the ledger, or write a signed checkpoint of it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the two verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        check = verbs.add_parser(
            "verify", help="exit 0 when every link of the ledger holds, else 1"
        )
        check.add_argument("--checkpoint", type=Path, help="signed checkpoints, as JSON lines")
        check.add_argument("--keys", type=Path, help="the public keys that you trust, as a JWKS")
        mark = verbs.add_parser("checkpoint", help="sign where the ledger ends now")
        mark.add_argument("--file", type=Path, required=True, help="append the line to this file")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do one of them."""
        actor = system("audit")
        try:
            if options["verb"] == "checkpoint":
                made = write_checkpoint(actor=actor, file=options["file"])
                self.stdout.write(f"Signed revision {made.revision}.")
                return
            found = verify(
                actor=actor,
                checkpoints=options["checkpoint"],
                keys=options["keys"],
                progress=self.stderr.write,
            )
        except DomainError as error:
            raise CommandError(error.detail, returncode=2) from error
        self.stdout.write(found.outcome)
        if not found.ok:
            sys.exit(1)
