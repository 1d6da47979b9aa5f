"""What the job runner does for this app by itself."""

from datetime import timedelta

from apps.access.services import end_grants
from apps.core.actor import system
from apps.core.jobs import Claim, Kind, register

END_GRANTS_EVERY = timedelta(minutes=15)


def register_kinds() -> None:
    """Called when the app is ready."""
    register(
        Kind(
            "access.end_grants",
            "Take back grants whose time is over",
            _end_grants,
            every=END_GRANTS_EVERY,
        )
    )


def _end_grants(_claim: Claim) -> None:
    end_grants(actor=system("jobs"))
