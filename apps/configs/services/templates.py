"""Templates: base documents with versions of their own."""

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.services import Act, Event, append
from apps.configs.composing import World
from apps.configs.models import Live, Template, TemplateVersion, Text
from apps.configs.services.kernel import commit, digest, lock_composition
from apps.configs.services.propagation import follow
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_slug, check_text
from apps.core.transactions import locked, writing
from apps.engine import merge, values
from apps.engine.errors import invalid
from apps.engine.values import Tree, canonical


def create_template(
    *, actor: Actor, slug: str, content: Tree, name: str = "", message: str = ""
) -> TemplateVersion:
    """Make a template and its first version. Needs ``manage`` everywhere."""
    policy.require(actor, "manage", EVERYWHERE)
    check_slug(slug)
    _check_content(content)
    with writing():
        lock_composition()
        if Template.objects.filter(slug__lower=slug.lower()).exists():
            raise invalid("/slug", "taken", "This name is taken, or was and is not used again.")
        title = check_text("name", name or slug, 200)
        template = Template(slug=slug, name=title, created_at=clock.now())
        mark_history(template, actor)
        template.save()
        version = _next_version(template, 1, content, message)
        return _store(version, append([_published(version)], actor=actor), actor)


def publish_template(
    *,
    actor: Actor,
    template: Template,
    content: Tree,
    message: str = "",
    base: int | None = None,
    dependents: str = "refuse",
) -> TemplateVersion:
    """Publish the next version of a template, and compose afresh, in the same act, all that uses it.

    Raises :class:`InvalidError` for a stale ``base``, for markers that no document may hold, and
    naming the users that would be invalid, unless ``dependents`` is ``leave``. The same content
    gives the version there is.
    """
    policy.require(actor, "manage", EVERYWHERE)
    _check_content(content)
    with writing():
        lock_composition()
        newest = template.versions.select_related("content", "template").first()
        if base is not None and newest is not None and newest.number != base:
            raise invalid("/base_version", "stale", f"The template is at version {newest.number}.")
        if newest is not None and newest.content.content == canonical(content):
            return newest
        version = _next_version(template, newest.number + 1 if newest else 1, content, message)
        world = World()
        world.templates[template.slug.lower()] = version
        users = Live.objects.filter(templates=template, version__retired=False).select_related(
            "configuration__service", "configuration__environment"
        )
        spread = follow([], actor, dependents=dependents, users=users, world=world)
        _outcomes, act = commit([], actor, spread, also=[_published(version)])
        assert act is not None  # noqa: S101 - the template's own event was written
        return _store(version, act, actor)


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
        if names:
            raise invalid("", "in_use", f"Still extended by {', '.join(names)}.")
        template = locked(template)
        template.deleted_at = clock.now()
        mark_history(template, actor)
        template.save()
        append([_event("template.deleted", template, {})], actor=actor)


def _check_content(content: Tree) -> None:
    if not isinstance(content, dict):
        raise invalid("/content", "type", "A template is an object: its top level needs keys.")
    values.check(content)
    merge.merge_layers([merge.Layer("template", content)], {})


def _next_version(template: Template, number: int, content: Tree, message: str) -> TemplateVersion:
    values.check({"message": message})
    text = canonical(content)
    stored = Text(digest=digest(text), content=text)
    return TemplateVersion(template=template, number=number, content=stored, message=message)


def _published(version: TemplateVersion) -> Event:
    data: dict[str, Tree] = {
        "version": version.number,
        "checksum": values.checksum(version.content.content),
        "message": version.message,
    }
    return _event("template.published", version.template, data)


def _store(version: TemplateVersion, act: Act, actor: Actor) -> TemplateVersion:
    Text.objects.bulk_create([version.content], ignore_conflicts=True)
    version.author, version.revision, version.published_at = actor.name, act.revision, act.at
    version.save(force_insert=True)
    return version


def _event(action: str, template: Template, data: dict[str, Tree]) -> Event:
    return Event(action, f"template:{template.slug}", data)
