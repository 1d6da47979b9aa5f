"""The addresses of one's own log-in; registration, mail and password reset have none."""

from allauth.account import views as account
from allauth.mfa.base import views as base
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as keys
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import RedirectView

from apps.portal.login import views
from apps.portal.login.views import audited


def single_sign_on(request: HttpRequest, step: str) -> HttpResponse:
    """A step of the log-in at a provider. Authlib is loaded by the first: most have no provider."""
    from apps.portal.login.single_sign_on import STEPS

    return STEPS[step](request)


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="mfa_index")),
    path("login/", RedirectView.as_view(pattern_name="admin:login", query_string=True)),
    path("logout/", views.logout, name="account_logout"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("sso/", single_sign_on, {"step": "begin"}, name="single_sign_on"),
    path("sso/callback/", single_sign_on, {"step": "callback"}, name="single_sign_on_callback"),
    path("password/change/", views.change_password, name="account_change_password"),
    path("2fa/", base.index, name="mfa_index"),
    path("2fa/authenticate/", base.authenticate, name="mfa_authenticate"),
    path("2fa/reauthenticate/", base.reauthenticate, name="mfa_reauthenticate"),
    path("2fa/totp/activate/", audited(totp.activate_totp), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", audited(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/codes/", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "2fa/codes/generate/",
        audited(codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("2fa/keys/", keys.list_webauthn, name="mfa_list_webauthn"),
    path("2fa/keys/add/", audited(keys.add_webauthn), name="mfa_add_webauthn"),
    path("2fa/keys/login/", keys.login_webauthn, name="mfa_login_webauthn"),
    path(
        "2fa/keys/reauthenticate/",
        keys.reauthenticate_webauthn,
        name="mfa_reauthenticate_webauthn",
    ),
    path(
        "2fa/keys/<int:pk>/remove/", audited(views.RemoveKey.as_view()), name="mfa_remove_webauthn"
    ),
    path("2fa/keys/<int:pk>/edit/", views.RenameKey.as_view(), name="mfa_edit_webauthn"),
]
