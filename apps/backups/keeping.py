"""Keeping withdrawn, in a restored database, what was withdrawn after the backup.

Each function takes one kind of right, keeps the stricter of then and now, and gives the events.
"""

from collections.abc import Callable, Sequence
from typing import Final

from allauth.mfa.models import Authenticator

from apps.access.applying import apply_grants
from apps.access.events import account_event, grant_event, token_event
from apps.access.models import ExternalIdentity, Grant, KeyRule, Role, ServiceAccount, Token
from apps.access.policy import Place
from apps.access.selectors import list_grants
from apps.audit.services import Event
from apps.backups.withdrawals import Present, Row
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.models import Connection, User
from apps.engine.values import Tree
from apps.registry.models import Environment, Service


def keep_withdrawn(present: Present, actor: Actor) -> list[Event]:
    """Withdraw what is not in ``present`` any more, inside the caller's transaction, who appends the
    events.
    """
    return [event for keep in KEEPERS for event in keep(present, actor)]


def _keep_people(present: Present, _actor: Actor) -> list[Event]:
    events = []
    for user in User.objects.filter(service_account__isnull=True).order_by("pk"):
        now = present.people.get(user.pk) or {"is_active": False, "is_superuser": False}
        was: Tree = {"active": user.is_active, "superuser": user.is_superuser}
        target, password = f"user:{user.username}", user.password
        user.is_active = user.is_active and now["is_active"]
        user.is_superuser = user.is_superuser and now["is_superuser"]
        user.is_staff = user.is_staff and now.get("is_staff", False)
        user.password = now.get("password", password)
        user.sessions_since = now.get("sessions_since", user.sessions_since)
        user.save()
        is_: Tree = {"active": user.is_active, "superuser": user.is_superuser}
        if is_ != was:
            events.append(Event("user.updated", target, {**is_, "was": was}))
        if user.password != password:
            events.append(Event("user.password", target, {}))
    return events


def _keep_factors(present: Present, _actor: Actor) -> list[Event]:
    """Second factors as they are now: one that was removed must not open, and codes that were used
    must not again.
    """
    events = []
    for user in User.objects.filter(service_account__isnull=True).order_by("pk"):
        then = list(Authenticator.objects.filter(user_id=user.pk).order_by("pk").values())
        now = present.factors.get(user.pk, [])
        if then == now:
            continue
        Authenticator.objects.filter(user_id=user.pk).delete()
        for each in now:
            Authenticator.objects.create(**{k: v for k, v in each.items() if k != "id"})
        target = f"user:{user.username}"
        gone, come = _only_in(then, now), _only_in(now, then)
        events += [Event("factor.removed", target, {"kind": kind}) for kind in gone]
        events += [Event("factor.enrolled", target, {"kind": kind}) for kind in come]
    return events


def _only_in(rows: Sequence[Row], others: Sequence[Row]) -> list[str]:
    """The kinds of factors that are not among the others."""
    known = {each["id"] for each in others}
    return [each["type"] for each in rows if each["id"] not in known]


def _keep_identities(present: Present, _actor: Actor) -> list[Event]:
    ExternalIdentity.objects.exclude(pk__in=present.identities).delete()
    return []


def _keep_members(present: Present, _actor: Actor) -> list[Event]:
    events = []
    for user in User.objects.prefetch_related("groups").order_by("pk"):
        groups = list(user.groups.all())
        kept = [each for each in groups if (user.pk, each.pk) in present.members]
        if kept != groups:
            user.groups.set(kept)
            was: Tree = sorted(each.name for each in groups)
            names: Tree = sorted(each.name for each in kept)
            data = {"groups": names, "was": was}
            events.append(Event("user.groups", f"user:{user.username}", data))
    return events


def _keep_accounts(present: Present, actor: Actor) -> list[Event]:
    events = []
    for account in ServiceAccount.objects.filter(deleted_at__isnull=True).order_by("pk"):
        now = present.accounts.get(account.pk)
        account.deleted_at = now["deleted_at"] if now else clock.now()
        if account.deleted_at is not None:
            mark_history(account, actor)
            account.save()
            User.objects.filter(pk=account.user_id).update(is_active=False)
            events.append(account_event("account.deleted", account))
    return events


def _keep_tokens(present: Present, actor: Actor) -> list[Event]:
    events = []
    rows = Token.objects.select_related("account").filter(withdrawn_at__isnull=True)
    for token in rows.order_by("created_at", "pk"):
        now = present.tokens.get(token.pk)
        if now is None or now["digest"] != token.digest:
            now = {"withdrawn_at": clock.now(), "expires_at": None}
        until = now["expires_at"]
        if now["withdrawn_at"] is not None:
            token.withdrawn_at = now["withdrawn_at"]
            events.append(token_event("token.withdrawn", token))
        elif until is not None and (token.expires_at is None or until < token.expires_at):
            token.expires_at = until
            events.append(token_event("token.rotated", token, until=clock.rfc3339(until)))
        else:
            continue
        mark_history(token, actor)
        token.save()
    return events


def _keep_grants(present: Present, actor: Actor) -> list[Event]:
    rows = list(list_grants().exclude(pk__in=present.grants))
    events = [grant_event("grant.withdrawn", each) for each in rows]
    for each in rows:
        mark_history(each, actor)
        each.delete()
    apply_grants(rows)
    return events


def _keep_roles(present: Present, actor: Actor) -> list[Event]:
    events = []
    for role in Role.objects.order_by("pk"):
        now = present.roles.get(role.pk, {"verbs": []})
        kept = [verb for verb in role.verbs if verb in now["verbs"]]
        if kept != role.verbs:
            role.verbs = kept
            mark_history(role, actor)
            role.save()
            data: dict[str, Tree] = {"verbs": [*kept], "description": role.description}
            events.append(Event("role.updated", f"role:{role.slug}", data))
            apply_grants(Grant.objects.filter(role=role.slug))
    return events


def _keep_rules(present: Present, actor: Actor) -> list[Event]:
    """Rules that were made or changed since hold beside those of the backup: a rule only takes away.

    Of a rule whose pattern was changed both patterns are guarded, and who had a grant on it then and
    now has one on each.
    """
    scoped = ("pattern", "service", "environment")
    there = set(KeyRule.objects.values_list(*scoped))
    older = set(KeyRule.objects.values_list("pk", flat=True))  # rules made here get keys anew
    services = set(Service.objects.values_list("pk", flat=True)) | {None}
    environments = set(Environment.objects.values_list("pk", flat=True)) | {None}
    events = []
    for pk, now in present.rules.items():
        gone = now["service"] not in services or now["environment"] not in environments
        if gone or tuple(now[each] for each in scoped) in there:
            continue
        rule = KeyRule(
            pattern=now["pattern"],
            service_id=now["service"],
            environment_id=now["environment"],
            description=now["description"],
            created_at=clock.now(),
            created_by=actor.name,
        )
        mark_history(rule, actor)
        rule.save()
        data: dict[str, Tree] = {
            "pattern": rule.pattern,
            "on": str(Place(rule.service, rule.environment)),
        }
        events.append(Event("key_rule.created", f"key-rule:{rule.pk}", data))
        events += _copy_grants(pk, rule, actor) if pk in older else []
    return events


def _copy_grants(of: int, to: KeyRule, actor: Actor) -> list[Event]:
    made = []
    for each in Grant.objects.filter(key_rule=of):
        each.pk, each.key_rule = None, to
        each._state.adding = True  # noqa: SLF001 - Django's documented way to copy a row
        mark_history(each, actor)
        each.save()
        made.append(each)
    apply_grants(made)
    return [grant_event("grant.given", each) for each in made]


def _keep_connections(present: Present, actor: Actor) -> list[Event]:
    events = []
    for row in Connection.objects.filter(deleted_at__isnull=True).order_by("pk"):
        now = present.connections.get(row.pk) or {"deleted_at": clock.now()}
        target = f"connection:{row.slug}"
        if now["deleted_at"] is not None:
            row.deleted_at = now["deleted_at"]
            events.append(Event("connection.deleted", target, {}))
        else:
            roles = [each for each in row.roles if each in now["roles"]]
            services = [each for each in row.services if each in now["services"]]
            if (roles, services) == (row.roles, row.services):
                continue
            row.roles, row.services = roles, services
            data: dict[str, Tree] = {"roles": [*roles], "services": [*services]}
            events.append(Event("connection.changed", target, data))
        mark_history(row, actor)
        row.save()
    return events


Keeper = Callable[[Present, Actor], list[Event]]
KEEPERS: Final[tuple[Keeper, ...]] = (
    _keep_people,
    _keep_factors,
    _keep_identities,
    _keep_members,
    _keep_accounts,
    _keep_tokens,
    _keep_grants,
    _keep_roles,
    _keep_rules,
    _keep_connections,
)
