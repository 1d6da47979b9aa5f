"""Service accounts, people and groups in the admin."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminPasswordWidget

from apps.access import people, policy, selectors, services
from apps.access.models import ServiceAccount
from apps.access.policy import EVERYWHERE, Place
from apps.access.rotation import LONGEST_OVERLAP, rotate_token
from apps.core import clock
from apps.core.models import User
from apps.engine import values
from apps.engine.errors import DomainError, invalid
from apps.portal.addresses import actor_url
from apps.portal.base_admin import PortalAdmin, SeenFilter
from apps.portal.list_filters import LiveTokensFilter
from apps.portal.shared import actor_of, render, tell

OVERLAPS = (
    (86_400, "1 day"),
    (3_600, "1 hour"),
    (604_800, "7 days"),
    (2_592_000, "30 days"),
    (0, "none"),
)
MAY_DO = "what may this one do, and why"


class AccountAdmin(PortalAdmin):
    """Service accounts and their tokens."""

    list_display = ("slug", "description", "environment", "live_tokens")
    list_filter = (("environment", SeenFilter), LiveTokensFilter)
    fields = ("slug", "description", "environment")
    search_fields = ("slug", "description")
    change_form_outer_after_template = "portal/tokens.html"
    deleting = (
        "Its tokens end at once: whatever uses them is refused. Its name is never used again."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceAccount]:
        """Those of environments that the person manages or audits."""
        accounts = selectors.list_accounts_of(actor_of(request))
        return selectors.count_live_tokens(accounts, now=clock.now())

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For those who manage or audit something."""
        actor = actor_of(request)
        return any(policy.holds_anywhere(actor, verb) for verb in ("manage", "audit"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """For those who manage something; the service asks for the right place."""
        return policy.holds_anywhere(actor_of(request), "manage")

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name never changes."""
        return ("slug",) if obj else ()

    def place(self, row: Any) -> Place:
        """Rights hang on the account's environment."""
        return Place(environment=row.environment)

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change."""
        given = {"description": data["description"], "environment": data["environment"]}
        if row is None:
            return services.create_account(actor=actor, slug=data["slug"], **given)
        return services.update_account(actor=actor, account=row, clear_environment=True, **given)

    def remove(self, actor: Any, row: Any) -> None:
        """End it and its tokens."""
        services.delete_account(actor=actor, account=row)

    @staticmethod
    def live_tokens(row: Any) -> int:
        """How many tokens open something now."""
        return int(row.live_tokens)

    def get_urls(self) -> list[URLPattern]:
        """The token button's address too."""
        view = self.admin_site.admin_view(self.tokens)
        own = path("<path:object_id>/tokens/", view, name="access_serviceaccount_tokens")
        return [own, *super().get_urls()]

    def tokens(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make or withdraw a token; a new one is shown by this answer alone."""
        account = self.get_known(request, object_id)
        back = HttpResponseRedirect(reverse("admin:access_serviceaccount_change", args=[object_id]))
        try:
            if withdraw := request.POST.get("withdraw"):
                token = selectors.get_token(account, withdraw)
                services.withdraw_token(actor=actor_of(request), token=token)
                messages.success(request, "The token is withdrawn.")
            elif rotate := request.POST.get("rotate"):
                return self._rotate(request, account, rotate)
            elif request.method == "POST":
                name = request.POST.get("name", "")
                _token, raw = services.create_token(
                    actor=actor_of(request), account=account, name=name
                )
                title = f"A token for {account.slug}"
                return render(request, "portal/token.html", title=title, account=account, token=raw)
        except DomainError as error:
            tell(request, error)
        return back

    @staticmethod
    def _rotate(request: HttpRequest, account: ServiceAccount, token_id: str) -> HttpResponse:
        """A new token beside the old one, shown by this answer alone."""
        seconds = values.whole(request.POST.get("overlap", ""))
        if seconds is None or seconds > LONGEST_OVERLAP.total_seconds():
            raise invalid("/overlap", "range", "The overlap is 0 to 30 days.")
        old = selectors.get_token(account, token_id)
        _token, raw = rotate_token(
            actor=actor_of(request), token=old, overlap=timedelta(seconds=seconds)
        )
        old.refresh_from_db()
        title = f"A token for {account.slug}"
        return render(
            request, "portal/token.html", title=title, account=account, token=raw, old=old
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """The account with its tokens below."""
        account = self.get_object(request, unquote(object_id))
        tokens = selectors.list_tokens(account) if account else []
        ended = {each.pk for each in tokens if each.expires_at and each.expires_at <= clock.now()}
        extra = {
            "tokens": tokens,
            "ended": ended,
            "overlaps": OVERLAPS,
            "rights_words": MAY_DO,
            "may_manage": account is not None and self.has_change_permission(request, account),
        }
        return super().change_view(request, object_id, extra_context=extra)

    def rights_url(self, row: Any) -> str:
        """What it may do."""
        return actor_url(f"service-account:{row.slug}")


class PersonForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A person; a password only to set a new one."""

    password = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(),
        help_text="Leave empty to keep it as it is.",
    )

    class Meta:
        model = User
        fields = (
            "username",
            "first_name",
            "last_name",
            "email",
            "groups",
            "is_active",
            "is_superuser",
        )
        help_texts = {
            "username": "",
            "groups": "Whoever is in a group may do what is given to it.",
            "is_active": "Off: nobody logs in with it, and its sessions end.",
            "is_superuser": "May do everything, whatever is granted.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["password"] = ""


class PersonAdmin(PortalAdmin):
    """People and their groups; what they may do is on the rights pages."""

    form = PersonForm
    list_display = ("username", "first_name", "last_name", "email", "is_active", "is_superuser")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("username", "email", "first_name", "last_name")
    autocomplete_fields = ("groups",)

    def get_queryset(self, _request: HttpRequest) -> QuerySet[User]:
        """People alone, not service accounts."""
        return User.objects.filter(service_account__isnull=True)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For those who manage or audit everything."""
        return self.has_view_history_permission(request, obj)

    def has_delete_permission(self, _request: HttpRequest, obj: Any = None) -> bool:
        """People are deactivated, never deleted."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The field for a new password is for who may set one: read, it would show the hash."""
        given = [str(each) for each in super().get_fields(request, obj)]
        fields = ["username", *(each for each in given if each != "username")]
        may_set = self.has_change_permission(request, obj) if obj else True
        return fields if may_set else [each for each in fields if each != "password"]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """No list is narrowed by what a password's hash begins with."""
        if lookup.partition("__")[0] == "password":
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A user name never changes."""
        return ("username",) if obj else ()

    def may_open_history(self, request: HttpRequest, _row: Any) -> bool:
        """It is in the ledger."""
        return policy.allowed(actor_of(request), "audit", EVERYWHERE)

    def rights_url(self, row: Any) -> str:
        """What the person may do."""
        return actor_url(f"user:{row.username}")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """The form."""
        return super().change_view(request, object_id, extra_context={"rights_words": MAY_DO})

    def write(self, actor: Any, row: Any, data: dict[str, Any]) -> Any:
        """Make or change, each part by its own service."""
        name = f"{data['first_name']} {data['last_name']}".strip()
        if row is None:
            row = people.create_person(
                actor=actor, username=data["username"], email=data["email"], name=name
            )
        elif (data["email"], name) != (row.email, row.get_full_name()):
            people.rename_person(actor=actor, user=row, email=data["email"], name=name)
        people.set_groups(actor=actor, user=row, groups=list(data["groups"]))
        if (data["is_active"], data["is_superuser"]) != (row.is_active, row.is_superuser):
            people.update_person(
                actor=actor,
                user=row,
                is_active=data["is_active"],
                is_superuser=data["is_superuser"],
            )
        if data["password"]:
            people.set_password(actor=actor, user=row, password=data["password"])
        return row

    def history_view(self, request: HttpRequest, object_id: str, *_args: Any) -> HttpResponse:
        """A person's acts and changes are in the ledger."""
        person = self.get_known(request, object_id)
        return HttpResponseRedirect(
            f"{reverse('admin:ledger')}?target=user:{quote(person.username)}"
        )
