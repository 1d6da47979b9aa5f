"""The portal's frame around allauth's pages."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.portal.login.requests import OWN
from apps.portal.site import site


def frame(request: HttpRequest) -> dict[str, Any]:
    """What django-unfold's layout needs, for the pages of the log-in alone."""
    if not request.path_info.startswith(OWN):
        return {}
    sign_on = settings.SINGLE_SIGN_ON
    title = sign_on["title"] if sign_on["issuer"] else ""
    inside = request.user.is_authenticated
    heading = "Password and second factor" if inside else "Log in"
    return {**site.each_context(request), "title": heading, "single_sign_on": title}
