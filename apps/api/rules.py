"""The rules that documents must keep."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import Place
from apps.api.accounts import find_environment_of, find_service_of
from apps.api.base import ApiView, answer_json, paged, read_members, typed
from apps.api.documentation import READ_AT, RULE, RULES, documented
from apps.api.points import point_of
from apps.configs import describing
from apps.configs.selectors import rules as selected
from apps.configs.services import rules
from apps.engine.errors import invalid
from apps.engine.values import Tree

RULE_MEMBERS = ("name", "service", "environment", *rules.MEMBERS, "acknowledge")


class RulesView(ApiView):
    """Rules."""

    @documented("List rules", RULES)
    def get(self, request: Any) -> HttpResponse:
        """A page of those that the caller may know of; ``?service=`` for one service's own; with ``at=``
        those that there were, as they were then.
        """
        service, point = request.GET.get("service", ""), point_of(request)
        if point is not None:
            then = selected.list_rules_at(actor=self.actor, point=point, service=service)
            return paged(request, then, describing.rule)
        rows = selected.list_rules(actor=self.actor, service=service)
        return paged(request, rows, describing.rule)

    @documented("Make a rule", RULE)
    def post(self, request: Any) -> HttpResponse:
        """Refused while live configurations would break it, unless ``"acknowledge":true``."""
        return self.once(
            lambda: self._create(request),
            lambda: policy.require_free(
                self.actor, "manage", self._place(read_members(request, RULE_MEMBERS))
            ),
        )

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, RULE_MEMBERS)
        place = self._place(members)
        acknowledge = typed(members, "acknowledge", bool, False)
        made = rules.create_rule(
            actor=self.actor,
            name=members.get("name"),  # type: ignore[arg-type] # checked by the service
            place=place,
            acknowledge=acknowledge,
            **_own(members),
        )
        return answer_json(describing.rule(made), 201, {"Location": f"{request.path}/{made.name}"})

    def _place(self, members: dict[str, Tree]) -> Place:
        service = find_service_of(self.actor, members)
        return Place(service, find_environment_of(self.actor, members))


class RuleView(ApiView):
    """One rule."""

    @documented("Fetch a rule", READ_AT)
    def get(self, request: Any, name: str) -> HttpResponse:
        """Its members; with ``at=`` as they were then."""
        found = selected.get_rule(actor=self.actor, name=name, point=point_of(request))
        return answer_json(describing.rule(found))

    @documented("Change a rule", RULE)
    def patch(self, request: Any, name: str) -> HttpResponse:
        """Change the given members; its name and scope stay."""
        row = selected.get_rule(actor=self.actor, name=name)
        members = read_members(request, RULE_MEMBERS)
        shown = describing.rule(row)
        for member in ("name", "service", "environment"):
            if members.get(member, shown[member]) != shown[member]:
                raise invalid(f"/{member}", "immutable", "A rule's name and scope do not change.")
        made = rules.update_rule(
            actor=self.actor,
            rule=row,
            acknowledge=typed(members, "acknowledge", bool, False),
            **_own(members),
        )
        return answer_json(describing.rule(made))

    @documented("End a rule", RULE)
    def delete(self, _request: Any, name: str) -> HttpResponse:
        """Nothing is held against it from the next publish on."""
        row = selected.get_rule(actor=self.actor, name=name)
        rules.delete_rule(actor=self.actor, rule=row)
        return HttpResponse(status=204)


def _own(members: dict[str, Tree]) -> dict[str, Tree]:
    return {name: members[name] for name in rules.MEMBERS if name in members}
