"""Groups in the admin: who is in one, putting somebody in and taking him out."""

from typing import Any, Final
from urllib.parse import quote

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from apps.access import people, policy
from apps.access.policy import EVERYWHERE
from apps.core.models import User
from apps.engine.errors import DomainError, invalid
from apps.portal.access_admin import MAY_DO
from apps.portal.addresses import actor_url
from apps.portal.base_admin import PortalAdmin
from apps.portal.shared import actor_of, tell

PAGE: Final = 50
MOST_OFFERED: Final = 1000


class GroupAdmin(PortalAdmin):
    """Groups of people."""

    list_display = ("name", "members")
    fields = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
    change_form_outer_after_template = "portal/members.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """All of them, with how many people are in each."""
        rows: QuerySet[Group] = super().get_queryset(request)
        inside = Count("user", filter=Q(user__service_account__isnull=True))
        return rows.annotate(members=inside)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For those who manage or audit everything."""
        return self.has_view_history_permission(request, obj)

    def history_view(self, request: HttpRequest, object_id: str, *_args: Any) -> HttpResponse:
        """What was done to a group is in the ledger."""
        group = self.get_known(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:ledger')}?target=group:{quote(group.name)}")

    def may_open_history(self, request: HttpRequest, _row: Any) -> bool:
        """It is in the ledger."""
        return policy.allowed(actor_of(request), "audit", EVERYWHERE)

    def rights_url(self, row: Any) -> str:
        """What its members may do through it."""
        return actor_url(f"group:{row.name}")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Its members; nothing of the group itself changes, so there is nothing to save."""
        group = self.get_object(request, unquote(object_id))
        extra = {
            "rights_words": MAY_DO,
            "show_save": False,
            "show_save_and_continue": False,
            "show_save_and_add_another": False,
            "may_manage": group is not None and self.has_change_permission(request, group),
            **(_members(request, group) if group else {}),
        }
        return super().change_view(request, object_id, extra_context=extra)

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make one; a name never changes."""
        return row or people.create_group(actor=actor, name=data["name"])

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("name",) if obj else ()

    def has_delete_permission(self, _request: HttpRequest, obj: Any = None) -> bool:
        """Grants and owners hang on groups: they stay."""
        return False

    @staticmethod
    def members(row: Any) -> int:
        """How many people are in it."""
        return int(row.members)

    def get_urls(self) -> list[URLPattern]:
        """The address of the members' buttons too."""
        view = self.admin_site.admin_view(self.change_members)
        own = path("<path:object_id>/members/", view, name="auth_group_members")
        return [own, *super().get_urls()]

    def change_members(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put somebody in, or take him out."""
        group = self.get_known(request, object_id)
        back = HttpResponseRedirect(reverse("admin:auth_group_change", args=[object_id]))
        if request.method != "POST":
            return back
        comes = "add" in request.POST
        name = request.POST.get("add" if comes else "remove", "").strip()
        try:
            user = _people().filter(username__iexact=name).first()
            if user is None:
                raise invalid("/add", "person", f"There is nobody called '{name}'.")
            people.change_member(actor=actor_of(request), user=user, group=group, is_in=comes)
        except DomainError as error:
            tell(request, error)
        else:
            said = "is in it now" if comes else "is not in it any more"
            messages.success(request, f"{user.username} {said}.")
        return back


def _people() -> QuerySet[User]:
    return User.objects.filter(service_account__isnull=True)


def _members(request: HttpRequest, group: Group) -> dict[str, Any]:
    """A page of the members that a search leaves, and who could be put in."""
    words = request.GET.get("q", "").strip()
    found = _people().filter(groups=group).order_by("username")
    if words:
        names = ("username", "first_name", "last_name", "email")
        wanted = Q()
        for name in names:
            wanted |= Q(**{f"{name}__icontains": words})
        found = found.filter(wanted)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    others = _people().filter(is_active=True).exclude(groups=group).order_by("username")
    return {
        "asked": {"q": words},
        "page": page,
        "people": list(page),
        "others": others.values_list("username", flat=True)[:MOST_OFFERED],
    }
