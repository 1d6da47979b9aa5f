"""References between documents that are composed together or served already."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import values
from apps.engine.errors import InvalidError, LimitError
from apps.engine.resolving import Resolver
from apps.engine.served import Document
from apps.engine.spots import Spot
from apps.engine.uses import Name, Target
from apps.engine.ways import everything
from tests.limits import examples

SHOP, CART = Name("shop", "prod"), Name("cart", "prod")


def resolver(documents, served=()):
    """Documents by their name; of those in ``served`` the spots of their secrets."""

    def lookup(service, environment):
        name = Name(service.lower(), environment.lower())
        if name not in documents:
            return name, None
        known = dict(served)
        spots = tuple(known.get(name, ()))
        return name, Document(documents[name], spots, served=name in known)

    return Resolver(lookup)


def resolve(shop, cart=None, served=()):
    documents = {SHOP: shop} | ({} if cart is None else {CART: cart})
    return resolver(documents, served).resolve(SHOP, shop)


CART_TREE = {
    "n": 5,
    "f": values.number("1.50"),
    "yes": True,
    "no": None,
    "t": "text",
    "o": {"p": {"q": [1, {"r": "s"}]}},
    "esc": "$${x}",
    "lit": {"$literal": {"a": "${b}", "$remove": True}},
    "far": "${self:o}",
    "back": "${shop:own}",
    "dotted.key": 7,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${cart:n}", 5),
        ("${cart:f}", values.number("1.50")),
        ("${cart:yes}", True),
        ("${cart:no}", None),
        ("${Cart:t}", "text"),
        ("${cart@PROD:t}", "text"),
        ("${cart:o}", {"p": {"q": [1, {"r": "s"}]}}),
        ("${cart:o.p.q[1].r}", "s"),
        ('${cart:["dotted.key"]}', 7),
        ("${cart:esc}", "${x}"),
        ("${cart:lit}", {"a": "${b}", "$remove": True}),
        ("${cart:lit.a}", "${b}"),
        ("${cart:far.p.q[0]}", 1),
        ("${cart:back}", "mine"),
        ("${self:own}", "mine"),
        ("${shop:own}", "mine"),
        ("<${cart:n}|${cart:f}|${cart:yes}|${cart:no}|${cart:t}>", "<5|1.50|true|null|text>"),
        ("$${cart:n} ${cart:n}", "${cart:n} 5"),
        ("${cart:gone:-3}", 3),
        ("${nobody:x:-}", ""),
        ("${cart:n:-3}", 5),
        ("${cart:no:-3}", None),
        ("x${cart:gone:-3}", "x3"),
    ],
)
def test_resolve__reference__gives_the_value_with_its_type(text, value):
    made = resolve({"own": "mine", "a": text}, CART_TREE)

    assert values.same(made.tree["a"], value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${cart:gone}", "There is no cart@prod:gone that you may read."),
        ("${cart:o.p.q[2]}", "There is no cart@prod:o.p.q[2] that you may read."),
        ("${cart:t.x}", "There is no cart@prod:t.x that you may read."),
        ("${cart@dev:n}", "There is no cart@dev:n that you may read."),
        ("${nobody:x}", "There is no nobody@prod:x that you may read."),
        ("x ${cart:o}", "Only a single value can stand inside of a text."),
        ("${cart:far.gone}", "There is no cart@prod:o.gone that you may read."),
        ("${param:x}", "Parameters are for templates, not for documents."),
        ("${what}", "This is no reference"),
        ("${cart:sealed.x}", "cart@prod:sealed.x would be inside of a secret."),
    ],
)
def test_resolve__what_cannot_be_followed__is_named_at_its_place(text, told):
    with pytest.raises(InvalidError) as caught:
        resolve({"ok": 1, "a": {"b": [text]}}, {**CART_TREE, "sealed": {"$secret": "pw"}})

    (problem,) = caught.value.problems
    assert problem.pointer == "/a/b/0"
    assert problem.message.startswith(told)


@pytest.mark.parametrize(
    ("shop", "cart", "ring"),
    [
        ({"a": "${self:a}"}, {}, "shop@prod:a → shop@prod:a"),
        ({"a": {"b": "${self:a}"}}, {}, "shop@prod:a → shop@prod:a"),
        (
            {"a": "${cart:b}"},
            {"b": "x${shop:a}"},
            "cart@prod:b → shop@prod:a → cart@prod:b",
        ),
    ],
)
def test_resolve__keys_that_refer_to_each_other__are_a_cycle(shop, cart, ring):
    with pytest.raises(InvalidError) as caught:
        resolve(shop, cart)

    assert {each.code for each in caught.value.problems} <= {"cycle", "reference"}
    assert any(ring in each.message for each in caught.value.problems), caught.value.problems


def test_resolve__documents_in_a_circle_without_a_cycle_of_keys__resolve():
    shop = {"a": "${cart:b}", "c": 1}

    assert resolve(shop, {"b": "${shop:c}"}).tree == {"a": 1, "c": 1}


def test_resolve__a_cycle__is_not_hidden_by_a_default():
    with pytest.raises(InvalidError, match="cannot be resolved"):
        resolve({"a": "${self:b:-1}", "b": "${self:a}"})


@pytest.mark.parametrize("served", [False, True])
def test_resolve__reference_to_a_secret__stays_a_secret_with_its_absolute_name(served):
    shop = {
        "whole": "${cart:pw}",
        "url": "db://${cart:user}:${cart:pw}@${cart:host}",
        "all": "${cart:dsn}",
        "tree": "${cart:db}",
        "own": "${secret:mine} ${self:mine}",
        "mine": {"$secret": "mine"},
    }
    cart = {
        "pw": {"$secret": "pw"},
        "user": "app",
        "host": "h${secret:other/name}",
        "dsn": "x${secret:pw}y",
        "db": {"pw": {"$secret": "pw"}},
    }
    known = [
        Spot(("pw",), ("pw",)),
        Spot(("host",), ("other/name",), ("h", "")),
        Spot(("dsn",), ("pw",), ("x", "y")),
        Spot(("db", "pw"), ("pw",)),
    ]

    made = resolve(shop, cart, [(CART, known)] if served else ())

    assert made.tree == {
        "whole": {"$secret": "cart/pw"},
        "url": "db://app:${secret:cart/pw}@h${secret:other/name}",
        "all": "x${secret:cart/pw}y",
        "tree": {"pw": {"$secret": "cart/pw"}},
        "own": "${secret:mine} ${secret:mine}",
        "mine": {"$secret": "mine"},
    }
    assert sorted(made.secrets, key=str) == sorted(
        [
            Spot(("whole",), ("cart/pw",)),
            Spot(("url",), ("cart/pw", "other/name"), ("db://app:", "@h", "")),
            Spot(("all",), ("cart/pw",), ("x", "y")),
            Spot(("tree", "pw"), ("cart/pw",)),
            Spot(("own",), ("mine", "mine"), ("", " ", "")),
            Spot(("mine",), ("mine",)),
        ],
        key=str,
    )


def test_resolve__secret_of_another_environment__is_refused():
    other = Name("cart", "dev")
    shop = {"a": "${cart@dev:pw}"}

    with pytest.raises(InvalidError) as caught:
        resolver({SHOP: shop, other: {"pw": {"$secret": "pw"}}}).resolve(SHOP, shop)

    assert "secrets stay in their environment" in caught.value.problems[0].message


def test_resolve__uses__name_every_key_on_the_way():
    cart = {"b": "${shop:d}"}

    made = resolve({"a": "${cart:b}", "c": ["${cart:gone:-1}"], "d": 1}, cart)

    assert [(use.path, str(use.target)) for use in made.uses] == [
        (("a",), "cart@prod:b"),
        (("a",), "shop@prod:d"),
        (("c", 0), "cart@prod:gone"),
    ]


def test_resolve__text_that_was_served__is_taken_as_it_is():
    made = resolve({"a": "${cart:x} ${cart:y}"}, {"x": "${z}", "y": True}, [(CART, ())])

    assert made.tree == {"a": "${z} true"}


def test_resolve__documents_that_grow__are_refused():
    doubling = {"k0": "x" * 100} | {f"k{n}": f"${{self:k{n - 1}}}" * 2 for n in range(1, 30)}
    with pytest.raises(LimitError):
        resolve(doubling)

    lists = {"k0": [1] * 10} | {f"k{n}": [f"${{self:k{n - 1}}}"] * 10 for n in range(1, 20)}
    with pytest.raises(LimitError):
        resolve(lists)

    deep = {"k0": {"x": 1}} | {f"k{n}": {"x": f"${{self:k{n - 1}}}"} for n in range(1, 80)}
    with pytest.raises(InvalidError) as caught:
        resolve(deep)
    assert {each.code for each in caught.value.problems} == {"limit"}
    assert resolve({key: deep[key] for key in list(deep)[:62]})

    with pytest.raises(InvalidError) as caught:
        resolve({"a": "${self:b.c}", "b": "${self:a}"})
    assert len(caught.value.problems) == 2


def nest(value, levels):
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [0, 50])
@pytest.mark.parametrize("forward", [True, False])
def test_resolve__long_chain__does_not_depend_on_who_asks_first(levels, forward):
    path = "[0]" * levels
    chain = [("k0", nest("end", levels))]
    chain += [(f"k{n}", nest(f"${{self:k{n - 1}{path}}}", levels)) for n in range(1, 65)]
    longer = [*chain, ("k65", "${self:k64}")]

    made = resolve(dict(chain if forward else reversed(chain)))

    assert set(map(str, made.tree.values())) == {str(nest("end", levels))}
    with pytest.raises(InvalidError) as caught:
        resolve(dict(longer if forward else reversed(longer)))
    assert [(each.pointer, each.code) for each in caught.value.problems] == [("/k65", "limit")]


def test_resolve__uses_that_grow__are_refused():
    doubling = {"k0": ""} | {f"k{n}": f"${{self:k{n - 1}}}" * 2 for n in range(1, 60)}
    assert set(resolve(doubling).tree.values()) == {""}

    wide = {"n": 1, "many": ["${self:n}"] * 9_000}
    with pytest.raises(LimitError):
        resolve(wide | {f"k{n}": "${self:many}" for n in range(900)})


def test_resolve__cycle_longer_than_the_stack__is_found():
    ring = {f"k{n}": f"${{self:k{(n + 1) % 1_000}}}" for n in range(1_000)}

    with pytest.raises(InvalidError) as caught:
        resolve(ring)

    assert {each.code for each in caught.value.problems} == {"cycle"}
    assert len(caught.value.problems) == 100


@st.composite
def graphs(draw):
    """Documents whose keys refer to each other, in circles too, and the flat truth of them."""
    names = [Name(service, "prod") for service in "abc"]
    keys = [(name, f"k{n}") for name in names for n in range(4)]
    trees = {name: {} for name in names}
    for name, key in keys:
        other, there = draw(st.sampled_from(keys))
        value = draw(
            st.sampled_from(
                [1, "t", f"${{{other.service}:{there}}}", f"<${{{other.service}:{there}}}>"]
            )
        )
        trees[name][key] = value
    return trees


@given(graphs())
@settings(max_examples=examples(300), deadline=None)
def test_resolve__any_graph__gives_what_following_each_key_by_itself_gives(trees):
    def follow(name, key, seen=()):
        if (name, key) in seen:
            return None
        value = trees[name][key]
        if not (isinstance(value, str) and "${" in value):
            return value
        inner = value.strip("<>")[2:-1].split(":")
        found = follow(Name(inner[0], "prod"), inner[1], (*seen, (name, key)))
        if found is None or not value.startswith("<"):
            return found
        return f"<{found}>"

    made = resolver(trees)
    for name, tree in trees.items():
        expected = {key: follow(name, key) for key in tree}
        if None in expected.values():
            with pytest.raises(InvalidError) as caught:
                made.resolve(name, tree)
            wrong = {f"/{key}" for key, value in expected.items() if value is None}
            assert {each.pointer for each in caught.value.problems} == wrong
        else:
            assert values.same(made.resolve(name, tree).tree, expected)


@st.composite
def nested(draw):
    """Documents without circles whose keys refer to objects, and into them, of those before."""
    trees, known = {}, []
    for service in "abcd":
        tree = {}
        for key in ("k", "l"):
            targets = st.sampled_from([f"${{{there}}}" for there in known] or [1])
            inner = st.fixed_dictionaries({"x": st.sampled_from([1, 2]) | targets, "y": targets})
            tree[key] = draw(inner | targets | st.just({"x": {"x": 1, "y": 2}, "y": 3}))
        trees[Name(service, "prod")] = tree
        known += [f"{service}:{key}{rest}" for key in tree for rest in ("", ".x", ".y", ".x.y")]
    return trees


@given(nested())
@settings(max_examples=300, deadline=None)
def test_resolve__over_what_is_served__gives_what_composing_together_gives(trees):
    served, together = {}, resolver(trees)

    def lookup(service, environment):
        name = Name(service, environment)
        return name, served.get(name)

    for name, tree in trees.items():
        found = []
        for asked in (together, Resolver(lookup)):
            try:
                found.append(asked.resolve(name, tree))
            except InvalidError as error:
                found.append([(each.pointer, each.code) for each in error.problems])
        if isinstance(found[0], list) or isinstance(found[1], list):
            assert found[0] == found[1]
            return
        assert found[0].tree == found[1].tree
        assert set(found[0].uses) == set(found[1].uses)
        served[name] = Document(found[1].tree, found[1].secrets, found[1].uses, served=True)


def told(documents, name=SHOP, done=None, may=everything):
    """What is said of the document ``name``, by pointer; ``done`` is what is served."""
    made = Resolver(lookup_in(documents, done or {}), may)
    with pytest.raises(InvalidError) as caught:
        made.resolve(name, documents[name])
    return {each.pointer: each.message for each in caught.value.problems}


def lookup_in(documents, done):
    def lookup(service, environment):
        name = Name(service, environment)
        unresolved = Document(documents[name]) if name in documents else None
        return name, done.get(name, unresolved)

    return lookup


def serve(documents):
    """Documents as they are served, each resolved over those before it."""
    done = {}
    for name, tree in documents.items():
        made = Resolver(lookup_in({}, done)).resolve(name, tree)
        done[name] = Document(made.tree, made.secrets, made.uses, served=True)
    return done


def test_resolve__missing_target_by_way_of_others__is_told_with_the_way():
    shop = {"a": {"b": "${self:c}"}, "c": "x${cart:d.e}"}

    found = told({SHOP: shop, CART: {"d": {"e": "${self:gone}"}}})

    assert found == {
        "/a/b": "There is no cart@prod:gone that you may read. The way there: "
        "shop@prod:a.b → shop@prod:c → cart@prod:d.e → cart@prod:gone.",
        "/c": "There is no cart@prod:gone that you may read. The way there: "
        "shop@prod:c → cart@prod:d.e → cart@prod:gone.",
    }


def test_resolve__key_that_leads_to_a_ring__is_told_with_the_way():
    found = told({SHOP: {"a": "${self:b}", "b": "${self:c}", "c": "${self:d}", "d": "${self:c}"}})

    ring = "These keys refer to each other: shop@prod:c → shop@prod:d → shop@prod:c."
    assert found == {
        "/a": f"{ring} The way there: shop@prod:a → shop@prod:b.",
        "/b": ring,
        "/c": ring,
        "/d": ring,
    }


def test_resolve__circle_over_what_is_served__is_told_with_the_way():
    first, *names = [Name(f"s{n}", "prod") for n in range(5)]
    documents = {first: {"k": 1}}
    documents |= {name: {"k": f"${{s{n}:k}}"} for n, name in enumerate(names)}
    documents |= {SHOP: {"o": {"p": "${s4:k}"}}, CART: {"q": "${shop:o}"}}

    found = told({first: {"k": "${cart:q.p}"}}, first, serve(documents))

    way = ["s0@prod:k", "cart@prod:q.p", "shop@prod:o.p"]
    way += [f"s{n}@prod:k" for n in (4, 3, 2, 1, 0)]
    assert found == {"/k": f"The key k comes from itself, by way of others: {' → '.join(way)}."}


@pytest.mark.parametrize("are_served", [True, False])
def test_resolve__more_than_64_references__are_told_one_by_one(are_served):
    names = [Name(f"s{n}", "prod") for n in range(66)]
    documents = {name: {"k": f"${{s{n - 1}:k}}" if n else 1} for n, name in enumerate(names)}
    before = {name: documents[name] for name in names[:-1]}

    found = told(documents, names[-1], serve(before) if are_served else {})

    way = " → ".join(f"{name}:k" for name in reversed(names))
    said = f"More than 64 references lead from one to the next. The way there: {way}."
    assert found == {"/k": said}


@pytest.mark.parametrize(
    ("shop", "said"),
    [
        ({"c": ["x" * 400] * 1_000, "d": ["${self:c}"] * 3}, "characters"),
        ({"c": [1] * 9_000, "d": ["${self:c}"] * 3}, "nodes"),
        ({"c": "x" * 700_000, "d": "${self:c} ${self:c}"}, "the text"),
    ],
)
def test_resolve__document_that_grows__is_told_with_the_way(shop, said):
    shop = {"o": {"a": "${self:b}"}, "b": "${cart:d:-1}", **shop}
    cart = {"c": shop.pop("c"), "d": shop.pop("d")}

    with pytest.raises(LimitError) as caught:
        resolve(shop, cart)

    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("/o/a", "limit")
    assert said in problem.message
    way = problem.message.partition(" The way there: ")[2]
    assert way == "shop@prod:o.a → shop@prod:b → cart@prod:d."
    assert way not in caught.value.detail


def test_resolve__nesting_that_is_too_deep__is_told_with_the_way():
    found = told({SHOP: {"a": "${self:b}", "b": ["${cart:c}"]}, CART: {"c": nest(1, 63)}})

    said = "Nesting is deeper than 64 levels. The way there:"
    assert found == {
        "/a": f"{said} shop@prod:a → shop@prod:b.",
        "/b/0": f"{said} shop@prod:b[0] → cart@prod:c.",
    }


def test_resolve__way_over_keys_that_may_not_be_read__is_not_told_beyond_them():
    shop = {"a": "${self:b}", "b": "${self:c}", "c": "${self:d}", "d": "${self:gone}"}

    def may(_name, path, target):
        return (path, target) != (("c",), Target(SHOP, ("c",)))

    found = told({SHOP: shop}, may=may)

    way = found["/a"].partition("The way there: ")[2]
    assert way == "shop@prod:a → shop@prod:b → shop@prod:c → … → shop@prod:gone."
