"""Variables, files and templates of a version: names, collisions, what is kept when one fails."""

import builtins
import os
import stat
import sys

import pytest
from hypothesis import given

from configsvc_agent import outputs
from configsvc_agent.errors import RenderError, UsageError
from configsvc_agent.outputs import Outputs, Variables, parse_file, parse_template
from configsvc_agent.variables import environment_of_child, name_of, variables
from configsvc_client import numbers
from tests.engine.strategies import trees


def envelope(config, version=1):
    return {"service": "checkout", "environment": "production", "version": version} | {
        "config": config
    }


def test_variables__keys_of_all_kinds__have_documented_names_and_values():
    tree = numbers.loads(
        '{"settings":{"timeout":2500,"rate":0.10,"on":true,"off":null,"e":{}},'
        '"hosts":["a","b\\nc"],"a-b.c":"x","1st":"y"}'
    )

    assert variables(tree) == {
        "SETTINGS__TIMEOUT": "2500",
        "SETTINGS__RATE": "0.10",
        "SETTINGS__ON": "true",
        "HOSTS__0": "a",
        "HOSTS__1": "b\nc",
        "A_B_C": "x",
        "_1ST": "y",
    }
    assert variables({"a": {"b": 1}}, prefix="APP_") == {"APP_A__B": "1"}
    assert variables({"dbUrl": "x"}, keeps_case=True) == {"dbUrl": "x"}


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"a": {"b": 1}, "a__b": 2}, "Two keys have the name A__B: a.b and a__b."),
        ({"Ab": 1, "aB": 2}, "Two keys have the name AB: Ab and aB."),
        ({"a.b": 1, "a-b": 2}, 'Two keys have the name A_B: ["a.b"] and a-b.'),
        ({"ld_preload": "/tmp/x"}, "would set LD_PRELOAD"),  # noqa: S108 - never opened
        ({"path": "/tmp"}, "would set PATH"),  # noqa: S108 - never opened
        ([1], "made of an object"),
    ],
)
def test_variables__collision_or_obeyed_name__is_refused_by_key(tree, said):
    with pytest.raises(RenderError) as caught:
        variables(tree)

    assert said in str(caught.value)


def test_variables__of_sections_of_variables__have_their_own_names():
    tree = {
        "env": {"LOG_LEVEL": "info", "http_proxy": "x", "KEY": {"$secret": "k"}, "TWICE": 1},
        "more": {"TWICE": 2},
        "settings": {"timeout": 1},
    }

    made = variables(tree, env_sections=("env", "more", "none"))

    own = {"LOG_LEVEL": "info", "http_proxy": "x", "TWICE": "2"}
    assert made == {**own, "SETTINGS__TIMEOUT": "1"}
    assert variables({"env": {"a": 1}}, prefix="APP_", env_sections=("env",)) == {"APP_a": "1"}


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (
            {"env": {"A__B": 1}, "a": {"b": 2}},
            "Two keys have the name A__B: env.A__B and a.b.",
        ),
        ({"env": {"LD_PRELOAD": "x"}}, "env.LD_PRELOAD would set LD_PRELOAD"),
        ({"env": [1]}, "made of an object: env"),
    ],
)
def test_variables__of_a_section_that_cannot_be__are_refused_by_key(tree, said):
    with pytest.raises(RenderError) as caught:
        variables(tree, env_sections=("env",))

    assert said in str(caught.value)


def test_variables__secret_that_is_not_revealed__is_left_out():
    tree = {"a": {"$secret": "x"}, "b": 1, "c": "u:${secret:x}"}

    assert variables(tree) == {"B": "1"}
    assert variables({"c": "u:${secret:x}"}, revealed=True) == {"C": "u:${secret:x}"}


@given(tree=trees())
def test_variables__any_document__is_refused_or_fits_a_process(tree):
    try:
        made = variables(tree, prefix="P_")
    except RenderError:
        return
    assert all(name.isascii() and "=" not in name and "\0" not in name for name in made)
    assert all("\0" not in value for value in made.values())


def test_name_of__number_in_front__is_a_name():
    assert name_of(("9", 0)) == "_9__0"


def test_environment_of_child__never_has_the_agents_token():
    own = {"CONFIGSVC_TOKEN": "csk_x", "PATH": "/bin", "HOME": "/root", "A": "own"}

    assert environment_of_child(own, {"A": "1"}) == {"PATH": "/bin", "HOME": "/root", "A": "1"}
    assert environment_of_child(own, {"A": "1"}, pristine=True) == {"PATH": "/bin", "A": "1"}


def test_write__new_and_same_bytes__writes_once_with_its_mode(tmp_path):
    made = Outputs([parse_file(f"json:{tmp_path}/new/app.json")])
    first = made.make(envelope({"a": 1}))

    assert made.write(first)
    file = tmp_path / "new" / "app.json"
    before = file.stat()
    assert not made.write(made.make(envelope({"a": 1}, version=2)))

    after = file.stat()
    assert stat.S_IMODE(after.st_mode) == 0o600
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [each.name for each in file.parent.iterdir()] == ["app.json"]


def test_write__changed__is_a_new_file_in_the_old_ones_place(tmp_path):
    made = Outputs([parse_file(f"env:{tmp_path}/.env")], mode=0o640)
    made.write(made.make(envelope({"A": 1})))
    with (tmp_path / ".env").open() as opened:
        made.write(made.make(envelope({"A": 2})))
        assert opened.read() == "A=1\n"  # who has the old one open reads it to its end

    assert (tmp_path / ".env").read_text() == "A=2\n"
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o640


def test_write__syncs_the_file_before_its_rename_and_the_folder_after(tmp_path, monkeypatch):
    acts = []
    real_sync, real_rename = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (acts.append(_kind(number)), real_sync(number))[1]
    )
    monkeypatch.setattr(
        "pathlib.Path.replace",
        lambda one, other: (acts.append("rename"), real_rename(one, other))[1],
    )
    made = Outputs([parse_file(f"json:{tmp_path}/a.json")])

    made.write(made.make(envelope({})))

    assert acts == ["file", "rename", "folder"]


def _kind(number):
    return "folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"


def test_make__one_of_two_fails__makes_nothing(tmp_path):
    made = Outputs([parse_file(f"json:{tmp_path}/a"), parse_file(f"toml:{tmp_path}/b")])

    with pytest.raises(RenderError, match="There is no null in TOML"):
        made.make(envelope({"x": None}))

    assert list(tmp_path.iterdir()) == []


def test_make__section__narrows_files_and_variables(tmp_path):
    made = Outputs([parse_file(f"env:{tmp_path}/a")], Variables(), section="env")

    done = made.make(envelope({"env": {"URL": "x"}, "other": {}}))

    assert (dict(done.variables), done.files[0][1]) == ({"URL": "x"}, b"URL=x\n")
    with pytest.raises(RenderError, match="no section env"):
        made.make(envelope({"other": {}}))


def test_make__sections_of_variables__are_what_a_dotenv_is_made_of(tmp_path):
    made = Outputs([parse_file(f"env:{tmp_path}/a"), parse_file(f"json:{tmp_path}/b")])
    document = {"env": {"URL": "x"}, "other": {"a": 1}}

    contents = [
        made.make(envelope(document), keys).files[0][1] for keys in (("env",), ("none",), (), None)
    ]

    whole = b"env__URL=x\nother__a=1\n"
    assert contents == [b"URL=x\n", b"", whole, whole]
    assert b"other" in made.make(envelope(document), ("env",)).files[1][1]


@pytest.mark.parametrize("text", ["json", "ini:x", "json:", ":x", ""])
def test_parse_file__what_is_none__says_the_formats(text):
    with pytest.raises(UsageError, match="json, yaml, toml, xml, env"):
        parse_file(text)


def test_check_paths__the_same_twice__is_refused(tmp_path):
    files = [parse_file(f"json:{tmp_path}/a"), parse_file(f"yaml:{tmp_path}/x/../a")]
    with pytest.raises(UsageError, match="Two files"):
        outputs.check_paths(files)


# -- templates ---------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path):
    def make(text):
        (tmp_path / "app.j2").write_text(text)
        return Outputs([parse_template(f"{tmp_path}/app.j2:{tmp_path}/app.conf")])

    return make


def test_template__values_loops_keys_and_filters__are_written(template):
    made = template(
        "# {{ service }}@{{ environment }} {{ version }}\n"
        "{% for host in config.hosts %}\nserver {{ host }};\n{% endfor %}\n"
        'rate {{ config.rate }} {{ key("a.b", 7) }} {{ config["x"] | tojson }}\n'
    )
    document = numbers.loads('{"hosts":["a","<b>"],"rate":0.10,"x":{"y":1.50}}')

    [(_path, content)] = made.make(envelope(document, version=4)).files

    assert content.decode() == (
        '# checkout@production 4\nserver a;\nserver <b>;\nrate 0.10 7 {"y":1.50}\n'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ config.nope.deeper }}", "nope"),
        ("{{ nope }}", "'nope' is undefined"),
        ('{{ key("a.b") }}', "There is no key a.b."),
        ("x\n{% for %}", ":2: TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ('{% include "nope" %}', "TemplateNotFound"),
        ('{% include "../../etc/passwd" %}', "TemplateNotFound"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ config.update({}) }}", "unsafe"),
        ("{{ range(10 ** 9) }}", "Range too big"),
    ],
)
def test_template__fails__says_where_and_why(template, text, said):
    with pytest.raises(RenderError) as caught:
        template(text).make(envelope({"list": []}))

    assert said in str(caught.value)
    assert "app.j2" in str(caught.value)


def test_template__jinja2_is_not_installed__says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.j2").write_text("x")
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(UsageError, match=r"Templates need Jinja2.*pip install"):
        parse_template(f"{tmp_path}/a.j2:{tmp_path}/a")


def test_files__without_templates__never_load_jinja2(tmp_path, monkeypatch):
    asked = []
    real = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *rest: (asked.append(name), real(name, *rest))[1]
    )
    made = Outputs([parse_file(f"yaml:{tmp_path}/a")])

    made.write(made.make(envelope({"a": 1})))

    assert not [name for name in asked if name.startswith("jinja2")]
