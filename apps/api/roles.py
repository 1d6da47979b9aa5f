"""Roles: the built-in ones, and one's own."""

from typing import Any

from django.http import HttpResponse

from apps.access import own_roles, policy
from apps.access.policy import EVERYWHERE
from apps.access.roles import Bundle, find_role, list_roles
from apps.api.base import ApiView, answer_json, paged, read_members, typed
from apps.api.documentation import LIST, ROLE, documented
from apps.engine.errors import ConflictError, NotFoundError, invalid
from apps.engine.values import Tree

MEMBERS = ("name", "verbs", "description")
MISSING = "There is no such role."


def present_role(each: Bundle) -> dict[str, Tree]:
    """A role: its verbs, and whether it can be changed."""
    return {
        "name": each.name,
        "description": each.description,
        "verbs": list(each.verbs),
        "built_in": each.is_built_in,
    }


def list_known_roles(actor: Any) -> list[Bundle]:
    """The built-in roles and one's own, for those who manage, secure or audit something."""
    _require_known(actor)
    return list_roles()


def find_known_role(actor: Any, name: str) -> Bundle:
    """One of them. Raises :class:`NotFoundError`."""
    _require_known(actor)
    return get_role(name)


def _require_known(actor: Any) -> None:
    if not any(policy.holds_anywhere(actor, verb) for verb in policy.KNOWN_TO):
        policy.require_anywhere(actor, "manage")


def get_role(name: str) -> Bundle:
    """One role by its name. Raises :class:`NotFoundError`."""
    found = find_role(name)
    if found is None:
        raise NotFoundError(MISSING)
    return found


class RolesView(ApiView):
    """Named bundles of verbs."""

    @documented("List roles", LIST)
    def get(self, request: Any) -> HttpResponse:
        """The built-in ones and one's own, for those who manage, secure or audit something."""
        return paged(request, list_known_roles(self.actor), present_role)


class RoleView(ApiView):
    """One role."""

    @documented("Fetch a role", ROLE)
    def get(self, _request: Any, name: str) -> HttpResponse:
        """Its verbs as they are now."""
        return answer_json(present_role(find_known_role(self.actor, name)))

    @documented("Make a role, or change its verbs", ROLE)
    def put(self, request: Any, name: str) -> HttpResponse:
        """What was given of it follows at once. Nobody puts in what he does not have."""
        policy.require(self.actor, "manage", EVERYWHERE)
        members = read_members(request, MEMBERS)
        if members.get("name", name) != name:
            raise invalid("/name", "immutable", "A name does not change.")
        row, made = own_roles.put_role(
            actor=self.actor,
            name=name,
            verbs=typed(members, "verbs", list, []),
            description=typed(members, "description", str, ""),
        )
        headers = {"Location": request.path} if made else {}
        return answer_json(present_role(get_role(row.slug)), 201 if made else 200, headers)

    @documented("End a role that nobody has", ROLE)
    def delete(self, _request: Any, name: str) -> HttpResponse:
        """409 ``in_use`` while grants are made of it."""
        policy.require(self.actor, "manage", EVERYWHERE)
        found = get_role(name)
        if found.row is None:
            raise ConflictError("A built-in role stays.", code="built_in")
        own_roles.delete_role(actor=self.actor, role=found.row)
        return HttpResponse(status=204)
