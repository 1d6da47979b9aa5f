"""Making guardian's rows, which permission checks read, what the grants say.

In as many statements for a thousand grants as for one: a role that changes holds the database
for as long as this takes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from apps.access.models import (
    ConfigurationGroupPermission,
    ConfigurationUserPermission,
    EnvironmentGroupPermission,
    EnvironmentUserPermission,
    Grant,
    KeyRuleGroupPermission,
    KeyRuleUserPermission,
    ServiceGroupPermission,
    ServiceUserPermission,
)
from apps.access.roles import list_roles
from apps.core import clock
from apps.core.models import User
from apps.registry.models import Configuration


class Scope(NamedTuple):
    """Who has grants where: what one set of guardian's rows is for."""

    user: int | None
    group: int | None
    service: int | None
    environment: int | None
    key_rule: int | None

    @property
    def kind(self) -> str:
        """What the grant is on."""
        if self.key_rule is not None:
            return "keyrule"
        if self.service is not None and self.environment is not None:
            return "configuration"
        if self.service is not None:
            return "service"
        return "everywhere" if self.environment is None else "environment"


# kind: guardian's tables for users and for groups
TABLES: dict[str, tuple[Any, Any]] = {
    "keyrule": (KeyRuleUserPermission, KeyRuleGroupPermission),
    "configuration": (ConfigurationUserPermission, ConfigurationGroupPermission),
    "service": (ServiceUserPermission, ServiceGroupPermission),
    "environment": (EnvironmentUserPermission, EnvironmentGroupPermission),
    "everywhere": (User.user_permissions.through, Group.permissions.through),
}
Row = tuple[int, int | None, int]
"""A holder, an object (``None``: everywhere) and a permission, by their keys."""


def apply_grants(grants: Iterable[Grant]) -> None:
    """Make the rows of everybody and every place that ``grants`` name what is granted there now.

    The grants themselves may have been deleted already.
    """
    scopes = {_scope(each) for each in grants}
    wanted = _wanted(scopes)
    by_table: dict[tuple[str, bool], list[Scope]] = defaultdict(list)
    for scope in scopes:
        by_table[(scope.kind, scope.group is not None)].append(scope)
    for (kind, is_group), found in by_table.items():
        _write(kind, is_group, {scope: wanted.get(scope, set()) for scope in found})


def _scope(grant: Grant) -> Scope:
    return Scope(
        grant.user_id, grant.group_id, grant.service_id, grant.environment_id, grant.key_rule_id
    )


def _wanted(scopes: Collection[Scope]) -> dict[Scope, set[str]]:
    """The verbs that the holders' grants give, scope by scope."""
    bundles = {each.name: each.verbs for each in list_roles()}
    rows = Grant.objects.filter(
        Q(user__in={each.user for each in scopes if each.user is not None})
        | Q(group__in={each.group for each in scopes if each.group is not None}),
        Q(expires_at__isnull=True) | Q(expires_at__gt=clock.now()),
    )
    wanted: dict[Scope, set[str]] = defaultdict(set)
    for row in rows:
        wanted[_scope(row)] |= {*bundles.get(row.role, ())} if row.role else {row.verb}
    return wanted


def _write(kind: str, is_group: bool, verbs: dict[Scope, set[str]]) -> None:
    model: Any = TABLES[kind][is_group]
    holder = "group_id" if is_group else "user_id"
    permissions = _permissions(kind)
    objects = _objects(kind, verbs)
    wanted: set[Row] = set()
    places: set[tuple[int, int | None]] = set()
    for scope, held in verbs.items():
        place = ((scope.group if is_group else scope.user) or 0, objects[scope])
        places.add(place)
        wanted |= {(*place, permissions[verb]) for verb in held}
    rows = model._default_manager.filter(  # noqa: SLF001 - Django's own name
        permission__in=permissions.values(), **{f"{holder}__in": {each for each, _on in places}}
    )
    column = () if kind == "everywhere" else ("content_object_id",)
    present: dict[Row, int] = {}
    for pk, permission, who, *on in rows.values_list("pk", "permission_id", holder, *column):
        at = on[0] if on else None
        if (who, at) in places:
            present[(who, at, permission)] = pk
    extra = [pk for row, pk in present.items() if row not in wanted]
    if extra:
        rows.filter(pk__in=extra).delete()
    model._default_manager.bulk_create(  # noqa: SLF001 - as above
        model(permission_id=permission, **{holder: who}, **dict.fromkeys(column, on))
        for who, on, permission in sorted(wanted - present.keys(), key=str)
    )


def _permissions(kind: str) -> dict[str, int]:
    """The keys of the verbs' permissions on objects of that kind."""
    app, model = ("access" if kind == "keyrule" else "registry"), kind
    if kind == "everywhere":
        model = "configuration"
    rows = Permission.objects.filter(content_type__app_label=app, content_type__model=model)
    return dict(rows.values_list("codename", "pk"))


def _objects(kind: str, scopes: Iterable[Scope]) -> dict[Scope, int | None]:
    """The key of the object that each scope is on."""
    if kind != "configuration":
        return {each: each.key_rule or each.service or each.environment for each in scopes}
    given = list(scopes)
    rows = Configuration.objects.filter(
        service__in={each.service for each in given},
        environment__in={each.environment for each in given},
    )
    found = {(row.service_id, row.environment_id): row.pk for row in rows}
    return {each: found[(each.service, each.environment)] for each in given}  # type: ignore[index] # both are set
