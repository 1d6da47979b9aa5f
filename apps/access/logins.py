"""What people's log-ins leave in the ledger, and what ends their sessions.

Adapters of the log-in call these and nothing else; none of them takes a password or a code.
"""

from allauth.mfa.models import Authenticator

from apps.access import factors
from apps.access.selectors import person
from apps.audit import refusals
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, stranger, system
from apps.core.models import User
from apps.core.transactions import writing


def record_login(*, user: User, address: str | None, methods: list[str]) -> None:
    """Write that a person logged in, and by what (``password``, ``totp``, ``single-sign-on``)."""
    _append("login", user, address, {"methods": sorted(methods)})


def record_logout(*, user: User, address: str | None) -> None:
    """Write that a person logged out."""
    _append("logout", user, address, {})


def record_failure(*, username: str, address: str | None, step: str) -> None:
    """Write that a log-in failed at ``step``: once a minute for the same, with a count.

    The name is written when there is such a login; another may be a password typed in its place.
    """
    known = User.objects.filter(username__iexact=username.strip()).first() if username else None
    target = f"user:{known.username}" if known else "user:(unknown)"
    refusals.record(
        actor=stranger(address), action="login.failed", target=target, data={"step": step}
    )


def record_factors(*, user: User, address: str | None, before: dict[int, str]) -> bool:
    """Write what changed of the person's factors since ``before``, inside the caller's transaction.

    When one was removed, every session of the person ends; the answer says so.
    """
    after = factors.list_factors(user)
    target = f"user:{user.username}"
    gone = [before[key] for key in sorted(before.keys() - after.keys())]
    events = [Event("factor.removed", target, {"kind": kind}) for kind in gone]
    events += [
        Event("factor.enrolled", target, {"kind": after[key]})
        for key in sorted(after.keys() - before.keys())
    ]
    ends = any(kind != Authenticator.Type.RECOVERY_CODES for kind in gone)
    if ends:
        _end_sessions(user)
    if events:
        append(events, actor=person(user, address=address))
    return ends


def remove_factors(*, actor: Actor, user: User) -> int:
    """Take away a person's lost second factors and end his sessions; gives how many there were."""
    with writing():
        before = factors.list_factors(user)
        Authenticator.objects.filter(user_id=user.pk).delete()
        _end_sessions(user)
        data = {"kinds": sorted(before.values())}
        append([Event("factor.removed", f"user:{user.username}", data)], actor=actor)
    return len(before)


def reseal_factors() -> int:
    """Seal every factor's secret with the current signing key, so that an earlier one can go."""
    changed = 0
    for each in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk"):
        with writing():
            row = Authenticator.objects.select_for_update().filter(pk=each[0]).first()
            name = {"totp": "secret", "recovery_codes": "seed"}.get(row.type if row else "")
            if row is None or name is None:
                continue
            row.data[name] = factors.seal(factors.unseal(row.data[name]))
            row.save(update_fields=["data"])
            changed += 1
    with writing():
        data = {"count": changed}
        append([Event("factors.resealed", "installation", data)], actor=system("access"))
    return changed


def _end_sessions(user: User) -> None:
    user.sessions_since = clock.now()
    user.save(update_fields=["sessions_since"])


def _append(action: str, user: User, address: str | None, data: dict[str, list[str]]) -> None:
    with writing():
        append(
            [Event(action, f"user:{user.username}", dict(data))],
            actor=person(user, address=address),
        )
