"""Publishing, and acts that take other configurations along; as in ``test_acts``."""

HERE = "configuration:shop@production"
SPARE = "configuration:shop@spare"
OTHER = "configuration:other@production"


def publish(w, text, place=None, extends=None):
    from apps.configs import sources
    from apps.configs.services import publishing
    from apps.configs.services.bases import Options

    publishing.publish(
        actor=w.actor,
        place=place or w.here,
        source=sources.from_text(text, "yaml", extends=extends),
        options=Options(on_stale="overwrite"),
    )


def publish_used_template(w):
    from apps.configs.services import templates

    publish(w, "n: 3\n", extends=[{"template": "base"}])
    templates.publish_template(actor=w.actor, template=w.template, body=templates.Body({"a": 1}))


def compose_afresh(w):
    """What is pinned, because the template has moved on since."""
    from apps.configs.services.bases import Options
    from apps.configs.services.publishing import refresh
    from apps.configs.services.rollback import rollback

    publish_used_template(w)
    rollback(actor=w.actor, place=w.here, options=Options(), to_version=3)
    refresh(actor=w.actor, place=w.here, options=Options())


def publish_for_heir(w):
    from apps.access.policy import Place
    from apps.configs.services.places import update_environment

    update_environment(actor=w.actor, environment=w.spare, parent=w.production)
    publish(w, "own: 1\n", Place(w.shop, w.spare))
    publish(w, "n: 3\n")


def publish_for_reference(w):
    from apps.access.policy import Place

    publish(w, "n: ${shop:n}\n", Place(w.other, w.production))
    publish(w, "n: 3\n")


def write_used_secret(w):
    from apps.vault.services import write_secret

    publish(w, 'n: {"$secret": pin}\n')
    write_secret(actor=w.actor, secret=w.secret, value="v2")


USED_TEMPLATE = [
    ("configuration.publish", HERE),
    ("template.published", "template:base"),
    ("configuration.template", HERE),
]
SPREAD_ACTS = {
    "publish a template that is used": (publish_used_template, USED_TEMPLATE),
    "compose afresh": (
        compose_afresh,
        [*USED_TEMPLATE, ("configuration.rollback", HERE), ("configuration.refresh", HERE)],
    ),
    "publish what is inherited": (
        publish_for_heir,
        [
            ("environment.updated", "environment:spare"),
            ("configuration.publish", SPARE),
            ("configuration.publish", HERE),
            ("configuration.inherited", SPARE),
        ],
    ),
    "publish what is referred to": (
        publish_for_reference,
        [
            ("configuration.publish", OTHER),
            ("configuration.publish", HERE),
            ("configuration.reference", OTHER),
        ],
    ),
    "write a secret that is used": (
        write_used_secret,
        [
            ("configuration.publish", HERE),
            ("secret.written", "secret:shop@production/pin"),
            ("configuration.secret", HERE),
        ],
    ),
}
