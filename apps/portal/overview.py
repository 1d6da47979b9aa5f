"""The home page: services by environments, which version is live where."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest
from django.urls import reverse

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.configs.selectors.configurations import list_live
from apps.configs.selectors.places import list_environments, list_services
from apps.portal.shared import actor_of

PAGE = 25


def context(request: HttpRequest) -> dict[str, Any]:
    """What the overview shows: a page of services, the environments, each cell."""
    actor = actor_of(request)
    found: Any = list_services(actor=actor)
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "owner", "label")}
    if asked["q"]:
        found = found.filter(Q(slug__icontains=asked["q"]) | Q(name__icontains=asked["q"]))
    if asked["owner"]:
        found = found.filter(owner__name=asked["owner"])
    if asked["label"]:
        key, _equals, value = asked["label"].partition("=")
        found = (
            found.annotate(label=KeyTransform(key, "labels")).filter(label=value)
            if value
            else found.filter(labels__has_key=key)
        )
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    environments = list(list_environments(actor=actor))
    live = {
        (each.configuration.service_id, each.configuration.environment_id): each
        for each in list_live(actor=actor).filter(configuration__service__in=list(page))
    }
    rows = [
        {
            "service": service,
            "cells": [
                _cell(actor, Place(service, environment), live.get((service.pk, environment.pk)))
                for environment in environments
            ],
        }
        for service in page
    ]
    owners = list_services(actor=actor).exclude(owner=None).values_list("owner__name", flat=True)
    return {
        "title": "Configurations",
        "rows": rows,
        "page": page,
        "environments": environments,
        "asked": asked,
        "owners": sorted(set(owners)),
        "may_manage": policy.allowed(actor, "manage", EVERYWHERE),
    }


def _cell(actor: Any, place: Place, live: Any) -> dict[str, Any]:
    sees = policy.allowed(actor, "list", place)
    names = [str(place.service), str(place.environment)]
    return {
        "environment": place.environment,
        "live": live,
        "url": reverse("admin:config", args=names) if sees else "",
    }
