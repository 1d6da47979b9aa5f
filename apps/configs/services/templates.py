"""Templates: base documents with versions and parameters of their own."""

from dataclasses import dataclass, field
from typing import Final

from apps.access import policy
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import Act, Event, append
from apps.configs.composing import resolve_for
from apps.configs.laying import check_extends, check_template, render
from apps.configs.models import Live, Template, TemplateVersion, Text
from apps.configs.selectors.templates import list_template_heirs, list_template_versions
from apps.configs.services.bases import Options
from apps.configs.services.kernel import Affected, commit, digest, lock_composition
from apps.configs.services.propagation import follow
from apps.configs.world import World, name_of, newest_template
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text
from apps.core.transactions import locked, writing
from apps.engine import values
from apps.engine.errors import ConflictError, NotFoundError, invalid, taken
from apps.engine.merging import merge_three
from apps.engine.values import Tree, canonical

AS_IT_IS: Final = Options()


@dataclass(frozen=True, slots=True)
class Body:
    """What a version of a template says: its content, the JSON Schema of the parameters that it
    takes, and the templates that it extends (:func:`apps.configs.laying.check_extends`). ``None`` is
    as it was.
    """

    content: Tree
    parameters: Tree = None
    extends: object = None


@dataclass(frozen=True, slots=True)
class TemplateOutcome:
    """What publishing a template did, or would do (``dry_run``: ``version`` is not stored then, or is
    the newest where it is ``unchanged``), and which configurations follow or stay behind.
    """

    version: TemplateVersion
    affected: list[Affected] = field(default_factory=list)
    unchanged: bool = False
    dry_run: bool = False


def create_template(
    *, actor: Actor, slug: str, body: Body, name: str = "", message: str = ""
) -> TemplateVersion:
    """Make a template and its first version. Needs ``manage`` everywhere."""
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(slug)
    with writing():
        lock_composition()
        if Template.objects.filter(slug__lower=slug.lower()).exists():
            raise taken("/slug", "This name is taken, or was and is not used again.")
        title = check_text("name", name or slug, 200)
        template = Template(slug=slug, name=title, created_at=clock.now())
        mark_history(template, actor)
        template.save()
        version = _next_version(template, 1, body, message)
        check_template(version, newest_template)
        return _store(version, append([_published(version)], actor=actor), actor)


def publish_template(
    *,
    actor: Actor,
    template: Template,
    body: Body,
    options: Options = AS_IT_IS,
) -> TemplateOutcome:
    """Publish the next version of a template, and compose afresh, in the same act, all that uses it.

    Raises :class:`ConflictError` for a stale base, :class:`InvalidError` for markers that no
    document may hold, and naming the users that would be invalid, unless ``dependents`` is
    ``leave``. The same content gives the version there is. No base is needed; a dry run stores
    nothing.
    """
    policy.require(actor, "manage", EVERYWHERE)
    options.check()
    with writing():
        lock_composition()
        newest = template.versions.select_related("content", "template").first()
        if newest is not None:
            _check_base(newest, options.base.version, body)
            body = _completed(body, newest)
        number = newest.number + 1 if newest else 1
        version = _next_version(template, number, body, options.message)
        if newest is not None and _says(newest) == _says(version):
            return TemplateOutcome(newest, unchanged=True, dry_run=options.dry_run)
        check_template(version, newest_template)
        world = World()
        world.templates[template.slug.lower()] = version
        touched = _touched_by(template)
        spread = follow([], actor, dependents=options.dependents, touched=touched, world=world)
        affected = spread.affected(actor)
        if options.dry_run:
            return TemplateOutcome(version, affected, dry_run=True)
        _outcomes, act = commit([], actor, spread, also=[_published(version)])
        assert act is not None  # noqa: S101 - the template's own event was written
        return TemplateOutcome(_store(version, act, actor), affected)


def _check_base(newest: TemplateVersion, base: int | None, body: Body) -> None:
    """Refuse a stale base, naming what both changed since."""
    if base is None or base == newest.number:
        return
    before = newest.template.versions.select_related("content").filter(number=base).first()
    contents = [each.content.content if each else "{}" for each in (before, newest)]
    was, now = map(values.parse_canonical, contents)
    clashes = merge_three(was, body.content, now).conflicts if before else []
    raise ConflictError(
        f"Version {newest.number} of the template was published after the base {base}. Fetch it, "
        "and repeat the change on it.",
        current_version=newest.number,
        mergeable=False,
        conflicts=[each.as_dict() for each in clashes],
    )


def _touched_by(template: Template) -> dict[Place, str]:
    """The live configurations that use it, or a template that extends it."""
    users = Live.objects.filter(
        pk__in=Live.objects.filter(templates__in=_family(template), version__retired=False)
    ).select_related("configuration__service", "configuration__environment")
    return {
        Place(each.configuration.service, each.configuration.environment): "template"
        for each in users
    }


def update_template(*, actor: Actor, template: Template, name: str) -> Template:
    """Change the title of a template."""
    policy.require(actor, "manage", EVERYWHERE)
    check_text("name", name, 200)
    with writing():
        template = locked(template)
        template.name = name
        mark_history(template, actor)
        template.save()
        append([_event("template.updated", template, {"name": name})], actor=actor)
    return template


def delete_template(*, actor: Actor, template: Template) -> None:
    """Hide a template that no live configuration extends."""
    policy.require(actor, "manage", EVERYWHERE)
    with writing():
        lock_composition()
        users = Live.objects.filter(templates=template, version__retired=False).select_related(
            "configuration__service", "configuration__environment"
        )
        names = [str(each.configuration) for each in users[:20]]
        names += [f"template {each}" for each in list_template_heirs(template)]
        if names:
            raise invalid("", "in_use", f"Still extended by {', '.join(names)}.")
        template = locked(template)
        template.deleted_at = clock.now()
        mark_history(template, actor)
        template.save()
        append([_event("template.deleted", template, {})], actor=actor)


def render_template(
    *,
    actor: Actor,
    template: Template,
    given: Tree,
    number: int | None = None,
    place: Place | None = None,
) -> tuple[TemplateVersion, Tree]:
    """A version of the template (the newest), and the tree that it and its bases give with the
    parameters ``given``. Needs ``read`` somewhere.

    References stay as they are written; at a ``place``, where ``read`` is needed, they are resolved as
    if the tree were the whole document there, and its lists merge by the keys of that service.
    """
    values.check(given)
    rows = list_template_versions(actor=actor, template=template)
    found = (rows if number is None else rows.filter(number=number)).first()
    if found is None:
        raise NotFoundError("There is no such version of the template.")
    if place is None:
        return found, render(found, given, newest_template)
    policy.require(actor, "read", place)
    assert place.service is not None  # noqa: S101 - a document has both
    assert place.environment is not None  # noqa: S101 - as above
    world = World()
    tree = render(found, given, newest_template, world.merge_keys(place.service))
    name = name_of(place.service, place.environment)
    return found, resolve_for(actor, name, tree, world)


def _next_version(template: Template, number: int, body: Body, message: str) -> TemplateVersion:
    content = body.content
    if not isinstance(content, dict):
        raise invalid("/content", "type", "A template is an object: its top level needs keys.")
    parameters = {} if body.parameters is None else body.parameters
    values.check({"message": message, "parameters": parameters})
    values.check(content)
    text = canonical(content)
    extends = check_extends([] if body.extends is None else body.extends)
    return TemplateVersion(
        template=template,
        number=number,
        content=Text(digest=digest(text), content=text),
        parameters=canonical(parameters),
        extends=canonical(extends),
        message=message,
    )


def _completed(body: Body, newest: TemplateVersion) -> Body:
    parse = values.parse_canonical
    return Body(
        body.content,
        parse(newest.parameters) if body.parameters is None else body.parameters,
        parse(newest.extends) if body.extends is None else body.extends,
    )


def _family(template: Template) -> list[Template]:
    """The template, and those whose newest versions extend it, also over others. What uses one of them
    may not have it in its lock yet: it changed nothing there when it was added.
    """
    found, ahead = [template], [template]
    while ahead:
        more = [each for each in list_template_heirs(ahead.pop()) if each not in found]
        found += more
        ahead += more
    return found


def _says(version: TemplateVersion) -> tuple[str, str, str]:
    return version.content.content, version.parameters, version.extends


def _published(version: TemplateVersion) -> Event:
    data: dict[str, Tree] = {
        "version": version.number,
        "checksum": values.checksum(version.content.content),
        "message": version.message,
    }
    for name in ("parameters", "extends"):
        text = getattr(version, name)
        if values.parse_canonical(text):
            data[name] = values.checksum(text)
    return _event("template.published", version.template, data)


def _store(version: TemplateVersion, act: Act, actor: Actor) -> TemplateVersion:
    Text.objects.bulk_create([version.content], ignore_conflicts=True)
    version.author, version.revision, version.published_at = actor.name, act.revision, act.at
    version.save(force_insert=True)
    return version


def _event(action: str, template: Template, data: dict[str, Tree]) -> Event:
    return Event(action, f"template:{template.slug}", data)
