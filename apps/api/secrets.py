"""Secrets over REST: metadata everywhere, values in the answer to ``reveal`` alone."""

from typing import Any

from django.http import HttpResponse

from apps.access import policy
from apps.access.policy import Place
from apps.api.base import (
    ApiView,
    answer_json,
    paged,
    read_members,
    typed,
)
from apps.api.documentation import (
    REVEAL,
    ROTATE,
    SECRET,
    SECRET_READ,
    SECRET_VERSIONS,
    SECRETS,
    documented,
)
from apps.api.points import point_of
from apps.api.writing import environment_of
from apps.configs.selectors.configurations import resolve_place
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.values import Tree
from apps.vault import past, runs, schedules, selectors, services

SECRET_MEMBERS = ("service", "environment", "name", "description", "value", "rotation")
NO_STORE = {"Cache-Control": "no-store"}


def present_secret(row: Any, actor: Actor) -> dict[str, Tree]:
    """A secret without its value."""
    rotation = runs.present_rotation(getattr(row, "rotation", None), whole=_whole(row, actor))
    return _shown(row, row.description, row.current, rotation)


def present_past(then: past.Past, actor: Actor) -> dict[str, Tree]:
    """The same of a secret as it was."""
    row, rotation = then.secret, then.rotation
    shown = rotation and runs.shown_settings(rotation, whole=_whole(row, actor))
    return _shown(row, then.description, then.current, shown)


def _whole(row: Any, actor: Actor) -> bool:
    keys = [selectors.key_of(row.slug)]
    return policy.allowed(actor, "secure", selectors.place_of(row), keys)


def _shown(row: Any, description: str, version: int | None, rotation: Tree) -> dict[str, Tree]:
    return {
        "service": row.service.slug,
        "environment": row.environment.slug,
        "name": row.slug,
        "description": description,
        "version": version,
        "rotation": rotation,
        "created_at": clock.rfc3339(row.created_at),
        "created_by": row.created_by,
    }


def present_status(status: runs.Status) -> dict[str, Tree]:
    """How a secret's rotation stands; ``error`` never holds a value."""
    run = status.run
    return {
        "state": status.state,
        "step": run.step if run and run.state == "running" else None,
        "error": status.error or None,
        "started_at": clock.rfc3339(run.started_at) if run else None,
        "ended_at": _time(run.ended_at) if run else None,
        "next_at": _time(status.next_at),
        "previous_until": _time(status.previous_until),
    }


def _time(moment: Any) -> str | None:
    return clock.rfc3339(moment) if moment is not None else None


def present_version(row: Any) -> dict[str, Tree]:
    """A secret's version without its value; ``destroyed``: its key is gone."""
    stages = sorted(each.stage for each in row.stages.all())
    return _version(row, stages, not hasattr(row, "wrapped"))


def present_past_version(row: Any, then: past.Past) -> dict[str, Tree]:
    """The same of a version as it was."""
    return _version(row, then.stages_of(row.number), row.number in then.destroyed)


def _version(row: Any, stages: list[str], destroyed: bool) -> dict[str, Tree]:
    return {
        "version": row.number,
        "stages": [*stages],
        "created_at": clock.rfc3339(row.created_at),
        "author": row.author,
        "revision": row.revision,
        "destroyed": destroyed,
    }


def narrow(rows: Any, service: str | None, environment: str | None) -> Any:
    """Those secrets of a service, in an environment; without names: all."""
    if service:
        rows = rows.filter(service__slug__lower=service.lower())
    if environment:
        rows = rows.filter(environment__slug__lower=environment.lower())
    return rows


class SecretsView(ApiView):
    """Secrets by name."""

    @documented("List secrets, without values", SECRETS)
    def get(self, request: Any) -> HttpResponse:
        """Those that the caller may know of; ``service`` and ``environment`` narrow. With ``at=`` those
        that there were, as they were then.
        """
        service, environment = request.GET.get("service"), request.GET.get("environment")
        point = point_of(request)
        if point is not None:
            were = past.list_secrets_at(
                actor=self.actor, point=point, service=service, environment=environment
            )
            return paged(request, were, lambda then: present_past(then, self.actor))
        rows = narrow(selectors.list_secrets(actor=self.actor), service, environment)
        return paged(request, rows, lambda row: present_secret(row, self.actor))

    @documented("Make a secret", SECRET)
    def post(self, request: Any) -> HttpResponse:
        """Make one with its first value, which no answer shows."""
        return self.once(lambda: self._create(request), lambda: self._place(request))

    def _create(self, request: Any) -> HttpResponse:
        members = read_members(request, SECRET_MEMBERS)
        place = self._place(request)
        made = services.create_secret(
            actor=self.actor,
            place=place,
            slug=members.get("name"),  # type: ignore[arg-type] # checked by the service
            value=members.get("value"),
            description=typed(members, "description", str, ""),
            rotation=typed(members, "rotation", dict),
        )
        row = selectors.get_secret(actor=self.actor, place=place, name=made.slug)
        location = f"{request.path}/{place.service}/{made.slug}?environment={place.environment}"
        return answer_json(present_secret(row, self.actor), 201, {"Location": location})

    def _place(self, request: Any) -> Place:
        members = read_members(request, SECRET_MEMBERS)
        place = resolve_place(
            actor=self.actor,
            service=typed(members, "service", str, ""),
            environment=environment_of(request, members),
            verb="list",
        )
        policy.require(self.actor, "secure", place)
        return place


class OneSecretView(ApiView):
    """Base of the views of one secret."""

    def find(self, request: Any, service: str, name: str) -> Any:
        """The secret that the address names, for those who may know of it."""
        return selectors.get_secret(
            actor=self.actor, place=self._place(request, service), name=name
        )

    def find_past(self, request: Any, service: str, name: str) -> past.Past | None:
        """The same as of the point that the request names; ``None`` where it names none."""
        point = point_of(request)
        if point is None:
            return None
        place = self._place(request, service)
        return past.get_secret_at(actor=self.actor, place=place, name=name, point=point)

    def _place(self, request: Any, service: str) -> Place:
        environment = request.GET.get("environment")
        return resolve_place(
            actor=self.actor, service=service, environment=environment, verb="list"
        )


class SecretView(OneSecretView):
    """One secret."""

    @documented("Fetch a secret's metadata", SECRET_READ)
    def get(self, request: Any, service: str, name: str) -> HttpResponse:
        """Its members, and the live configurations that use it as far as the caller sees them. With
        ``at=`` its members alone, as they were then.
        """
        then = self.find_past(request, service, name)
        if then is not None:
            return answer_json(present_past(then, self.actor))
        row = self.find(request, service, name)
        used = selectors.list_users(row)
        seen = [each for each in used if policy.sees(self.actor, _place_of(each))]
        users: list[Tree] = [
            {"service": each.service.slug, "environment": each.environment.slug} for each in seen
        ]
        if len(seen) < len(used):
            users.append({"hidden": len(used) - len(seen)})
        shown = {
            **present_secret(row, self.actor),
            "rotation_status": present_status(runs.status_of(row)),
        }
        return answer_json({**shown, "users": users})

    @documented("Change a secret's description and rotation", SECRET)
    def patch(self, request: Any, service: str, name: str) -> HttpResponse:
        """``description`` and ``rotation``; ``"rotation": null`` takes it away."""
        members = read_members(request, ("description", "rotation"))
        row = self.find(request, service, name)
        typed(members, "rotation", dict)
        typed(members, "description", str)
        services.update_secret(actor=self.actor, secret=row, changes=members)
        row = self.find(request, service, name)
        shown = {
            **present_secret(row, self.actor),
            "rotation_status": present_status(runs.status_of(row)),
        }
        return answer_json(shown)

    @documented("Delete a secret", SECRET)
    def delete(self, request: Any, service: str, name: str) -> HttpResponse:
        """Refused while a live configuration uses it; then its keys are destroyed."""
        services.delete_secret(actor=self.actor, secret=self.find(request, service, name))
        return HttpResponse(status=204)


class SecretVersionsView(OneSecretView):
    """A secret's versions."""

    @documented("List a secret's versions", SECRET_VERSIONS)
    def get(self, request: Any, service: str, name: str) -> HttpResponse:
        """A page of them, newest first, with their stages; with ``at=`` those that there were, with the
        stages of then.
        """
        then = self.find_past(request, service, name)
        if then is not None:
            rows = past.list_versions_at(then)
            return paged(request, rows, lambda row: present_past_version(row, then))
        row = self.find(request, service, name)
        return paged(request, selectors.list_versions(row), present_version)

    @documented("Write a new value", SECRET)
    def post(self, request: Any, service: str, name: str) -> HttpResponse:
        """It is current from now on; the one before is ``previous``."""
        return self.once(
            lambda: self._write(request, service, name),
            lambda: policy.require(
                self.actor, "secure", selectors.place_of(self.find(request, service, name))
            ),
        )

    def _write(self, request: Any, service: str, name: str) -> HttpResponse:
        members = read_members(request, ("value",))
        row = self.find(request, service, name)
        made = services.write_secret(actor=self.actor, secret=row, value=members.get("value"))
        return answer_json(present_version(made), 201)


class SecretRotateView(OneSecretView):
    """A rotation of a secret, now."""

    @documented("Rotate a secret now", ROTATE)
    def post(self, request: Any, service: str, name: str) -> HttpResponse:
        """Begins one; a job does it. ``force``: also where it ends the value before too early."""
        return self.once(
            lambda: self._begin(request, service, name),
            lambda: policy.require(
                self.actor, "secure", selectors.place_of(self.find(request, service, name))
            ),
        )

    def _begin(self, request: Any, service: str, name: str) -> HttpResponse:
        members = read_members(request, ("force",))
        row = self.find(request, service, name)
        force = typed(members, "force", bool, False)
        schedules.begin_rotation(actor=self.actor, secret=row, force=force)
        where = f"{request.path.removesuffix('/rotate')}?environment={row.environment.slug}"
        return answer_json(
            {"rotation_status": present_status(runs.status_of(row))}, 202, {"Location": where}
        )


class SecretRevealView(OneSecretView):
    """A secret's value."""

    @documented("Reveal a secret's value", REVEAL)
    def post(self, request: Any, service: str, name: str) -> HttpResponse:
        """``{"version","value"}``: the current one, or that of ``version``. Each is audited."""
        members = read_members(request, ("version",))
        row = self.find(request, service, name)
        number, value = services.reveal(
            actor=self.actor, secret=row, number=typed(members, "version", int)
        )
        return answer_json({"version": number, "value": value}, 200, NO_STORE)


def _place_of(configuration: Any) -> Place:
    return Place(configuration.service, configuration.environment)
