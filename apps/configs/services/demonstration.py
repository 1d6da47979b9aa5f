"""Loading the demonstration: a shop's platform with people, rights, templates and history."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from apps.access import people, policy
from apps.access import services as access
from apps.access.policy import Place
from apps.access.selectors import person as person_of
from apps.configs import sources
from apps.configs.services.bases import Base, Options
from apps.configs.services.kernel import Outcome
from apps.configs.services.places import create_service
from apps.configs.services.publishing import publish
from apps.configs.services.rules import create_rule
from apps.configs.services.sections import create_section
from apps.configs.services.templates import Body, create_template, publish_template
from apps.core.actor import Actor, system
from apps.core.models import User
from apps.registry.selectors import get_environment, get_service

ENVIRONMENTS = ("development", "staging", "production")


def load_demonstration(manifest: Path, progress: Callable[[str], None]) -> None:
    """Load ``manifest`` into an empty installation, through the same services as people use."""
    data = yaml.safe_load(manifest.read_text())
    actor = system("demonstration")
    for name in data["groups"]:
        people.create_group(actor=actor, name=name)
    for template in data["templates"]:
        _load_template(actor, template)
    for service in data["services"]:
        _register(actor, service)
    authors = {person["username"]: _load_person(actor, person) for person in data["people"]}
    for account in data["service_accounts"]:
        _load_account(actor, account)
    for service in data["services"]:
        progress(f"  {service['name']}")
        _publish(actor, authors, service)
    for rule in data["rules"]:
        _load_rule(actor, rule)


def _load_template(actor: Actor, template: dict[str, Any]) -> None:
    first, *later = template["versions"]
    made = create_template(
        actor=actor,
        slug=template["slug"],
        name=template["name"],
        body=Body(first["content"]),
        message=first["message"],
    )
    for version in later:
        publish_template(
            actor=actor,
            template=made.template,
            body=Body(version["content"]),
            options=Options(message=version["message"]),
        )


def _register(actor: Actor, service: dict[str, Any]) -> None:
    members = {name: service[name] for name in ("name", "description", "owner", "labels")}
    made = create_service(actor=actor, slug=service["slug"], **members)
    for key, section in service["sections"].items():
        create_section(actor=actor, service=made, key=key, **section)


def _load_person(actor: Actor, person: dict[str, Any]) -> Actor:
    user: User = people.create_person(
        actor=actor, username=person["username"], name=person["name"], email=person["email"]
    )
    groups = [people.create_group(actor=actor, name=name) for name in person["groups"]]
    people.set_groups(actor=actor, user=user, groups=groups)
    _grant(actor, f"user:{user.username}", person["roles"])
    return person_of(user)


def _load_account(actor: Actor, account: dict[str, Any]) -> None:
    environment = get_environment(account["environment"])
    access.create_account(
        actor=actor,
        slug=account["slug"],
        description=account["description"],
        environment=environment,
    )
    _grant(actor, f"service-account:{account['slug']}", account["roles"])


def _grant(actor: Actor, to: str, roles: list[dict[str, str]]) -> None:
    for role in roles:
        service = get_service(role["service"]) if "service" in role else None
        access.grant(actor=actor, to=to, role=role["role"], on=Place(service))


def _publish(actor: Actor, people: dict[str, Actor], service: dict[str, Any]) -> None:
    """Publish the versions in each environment, as the person whose change it was."""
    extends = [{"template": name} for name in service["extends"]]
    values = {name: dict(service["values"][name]) for name in ENVIRONMENTS}
    last: dict[str, Outcome] = {}
    for version in service["versions"]:
        for environment in ENVIRONMENTS:
            changed = version.get("set", {}).get(environment)
            if last.get(environment) and not changed:
                continue
            values[environment] |= changed or {}
            author = people[version["author"]]
            place = Place(get_service(service["slug"]), get_environment(environment))
            before = last.get(environment)
            last[environment] = publish(
                actor=author if _may_publish(author, place) else actor,
                place=place,
                source=sources.from_text(
                    _filled(service["document"], values[environment]),
                    service.get("format", "yaml"),
                    extends,
                ),
                options=Options(
                    message=version["message"],
                    base=Base(before.version if before else None),
                ),
            )


def _load_rule(actor: Actor, rule: dict[str, Any]) -> None:
    members = dict(rule)
    service, environment = members.pop("service", None), members.pop("environment", None)
    place = Place(
        get_service(service) if service else None,
        get_environment(environment) if environment else None,
    )
    create_rule(actor=actor, place=place, **members)


def _may_publish(actor: Actor, place: Place) -> bool:
    return policy.allowed(actor, "publish", place)


def _filled(document: str, values: dict[str, Any]) -> str:
    for name, value in values.items():
        document = document.replace(f"<<{name}>>", str(value))
    return document
