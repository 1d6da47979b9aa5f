"""Configurations that are made of each other at random: references, parents, templates on templates."""

import itertools


class RandomGraph:
    """``count`` services in three environments, each the parent of the next at first; the one in the
    middle is protected.
    """

    def __init__(self, system, chance, count):
        from apps.configs.services import templates
        from apps.configs.services.places import create_service, update_environment
        from apps.registry.selectors import get_environment

        self.system, self.chance, self.count = system, chance, count
        self.done = self.refused = 0
        names = ("production", "staging", "development")
        for parent, child in itertools.pairwise(names):
            update_environment(actor=system, environment=get_environment(child), parent=parent)
        update_environment(actor=system, environment=get_environment("staging"), protected=True)
        self.environments = [get_environment(each) for each in names]
        self.services = [create_service(actor=system, slug=f"s{n}") for n in range(count)]
        self.templates = [
            templates.create_template(
                actor=system, slug=f"t{n}", body=self.body(n, {"t": n})
            ).template
            for n in range(3)
        ]

    def body(self, n, content):
        """Template ``n``, which lies on the one before it with a parameter of its own."""
        from apps.configs.services.templates import Body

        base = {"template": f"t{n - 1}", "with": {"n": "${param:n}"}}
        content |= {"n": "${param:n}", "big": {"$if": "params.n > 2", "then": f"${{self:n}}-{n}"}}
        schema = {"properties": {"n": {"type": "integer", "default": 1}}}
        return Body(content, schema, [base] if n else [])

    def extended(self, n):
        given = self.chance.choice([{}, {"n": self.chance.randrange(6)}])
        return {"template": f"t{n}", **({"with": given} if given else {})}

    def value(self):
        chance = self.chance
        kind = chance.random()
        if kind < 0.45:
            return chance.randrange(100)
        at = "" if kind < 0.85 else f"@{chance.choice(self.environments)}"
        target = "self" if kind > 0.95 else f"s{chance.randrange(self.count)}{at}"
        return f"${{{target}:k{chance.randrange(4)}{chance.choice(['', ':-7'])}}}"

    def place(self):
        from apps.access.policy import Place

        return Place(self.chance.choice(self.services), self.chance.choice(self.environments))

    def act(self):
        """One act of any kind; what cannot be is refused, and counted."""
        from apps.engine.errors import InvalidError, NotFoundError

        service, given = self._choose()
        try:
            service(actor=self.system, **given)
            self.done += 1
        except (InvalidError, NotFoundError):
            self.refused += 1

    def _choose(self):
        from apps.configs import sources
        from apps.configs.services import publishing, templates
        from apps.configs.services.bases import Options
        from apps.configs.services.rollback import rollback

        chance, kind = self.chance, self.chance.random()
        rule = chance.choice(["refuse", "leave"])
        extends = [self.extended(n) for n in range(3) if chance.random() < 0.2]
        options = Options(on_stale="overwrite", dependents=rule)
        if kind < 0.1:
            n = chance.randrange(3)
            content = self.body(n, {"k1": self.value(), "t": chance.randrange(9)})
            return templates.publish_template, {
                "template": self.templates[n],
                "body": content,
                "options": Options(dependents=rule),
            }
        if kind < 0.14:
            return self._moved(rule)
        if kind < 0.25:
            keys = chance.choice([(), ("k1",)])
            return rollback, {"place": self.place(), "options": Options(), "keys": keys}
        if kind < 0.32:
            return self._brought(options)
        if kind < 0.4:
            items = [
                publishing.Publication(
                    each, sources.from_tree({"k2": self.value()}, extends), options
                )
                for each in dict.fromkeys([self.place(), self.place()])
            ]
            return publishing.publish_many, {"items": items}
        document = {f"k{n}": self.value() for n in range(4) if chance.random() < 0.8}
        source = sources.from_tree(document, extends)
        return publishing.publish, {"place": self.place(), "source": source, "options": options}

    def _moved(self, rule):
        """An environment gets another parent, or none."""
        from apps.configs.services.places import update_environment

        environment = self.chance.choice(self.environments)
        parent = self.chance.choice([None, *map(str, self.environments)])
        return update_environment, {
            "environment": environment,
            "parent": parent,
            "dependents": rule,
        }

    def _brought(self, options):
        """Something of a configuration that is not its author's text: refreshed, promoted, retired."""
        from apps.access.policy import Place
        from apps.configs.services import publishing
        from apps.configs.services.promoting import Promotion, promote

        place, kind = self.place(), self.chance.random()
        given = {"place": place, "options": options}
        if kind < 0.4:
            return publishing.refresh, given
        if kind < 0.55:
            return publishing.retire, given
        others = [each for each in self.environments if each != place.environment]
        origin = Place(place.service, self.chance.choice(others))
        return promote, {**given, "promotion": Promotion(origin)}
