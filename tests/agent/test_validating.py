"""The client's ``validate``: what it asks, what it prints, how it ends, what a pipeline reads."""

import json
import threading
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from configsvc_client.__main__ import main

WRONG = {
    "pointer": "/settings/timeout",
    "code": "maximum",
    "message": "This must be at most 30000.",
    "line": 2,
    "column": 3,
    "service": "checkout",
    "environment": "production",
}
ELSEWHERE = {**WRONG, "service": "cart", "line": None, "message": "Broken\x01 there."}
FINE = {"valid": True, "errors": [], "warnings": []}


@pytest.fixture
def asked(monkeypatch):
    """What a server was asked; ``answers`` are its next ones, as status and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            status, told = asked.answers.pop(0) if asked.answers else (200, FINE)
            told = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_args):
            pass

    class Asked(list):
        answers = []

    asked = Asked()
    asked.answers = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("TOKEN_FILE", "ENVIRONMENT", "CA_FILE"):
            monkeypatch.delenv(f"CONFIGSVC_{name}", raising=False)
        monkeypatch.setenv("CONFIGSVC_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("CONFIGSVC_TOKEN", "csk_x")
        yield asked
        server.shutdown()


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


def test_folder__with_an_environment__asks_for_each_service(asked, tmp_path, capsys):
    folder = write(tmp_path, {"cart.yaml": "a: 1\n", "x/checkout.toml": "a = 1\n", "README.md": ""})

    assert main(["validate", folder, "--environment", "production"]) == 0

    assert [each[:2] for each in asked] == [("/validate", "Bearer csk_x")] * 2
    assert [each[2] for each in asked] == [
        {"service": "cart", "environment": "production", "content": "a: 1\n", "format": "yaml"},
        {
            "service": "checkout",
            "environment": "production",
            "content": "a = 1\n",
            "format": "toml",
        },
    ]
    assert capsys.readouterr().out == "2 configuration(s) can be published.\n"


def test_folder__without_an_environment__is_services_with_environments(asked, tmp_path):
    folder = write(tmp_path, {"cart/staging.json": "{}", "cart/production.json": "{}"})

    assert main(["validate", folder]) == 0

    assert [(each[2]["service"], each[2]["environment"]) for each in asked] == [
        ("cart", "production"),
        ("cart", "staging"),
    ]


def test_problems__are_told_by_line_and_in_junit_and_end_with_one(asked, tmp_path, capsys):
    folder = write(tmp_path / "f", {"checkout.yaml": "x", "cart.yaml": "x"})
    report = tmp_path / "report.xml"
    asked.answers = [
        (200, {**FINE, "warnings": [{"pointer": "", "code": "credential", "message": "Hm."}]}),
        (200, {**FINE, "valid": False, "errors": [WRONG, ELSEWHERE]}),
    ]

    status = main(["validate", folder, "--environment", "production", "--junit", str(report)])

    assert status == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{folder}/cart.yaml: warning: (all) Hm. (credential)",
        f"{folder}/checkout.yaml:2:3: error: This must be at most 30000. (maximum)",
        "cart@production: error: /settings/timeout Broken\x01 there. (maximum)",
        "1 of 2 configurations cannot be published.",
    ]
    suite = ET.parse(report).getroot()  # noqa: S314 - our own
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    warned, failed = suite.findall("testcase")
    assert warned.find("failure") is None
    assert "Hm." in warned.find("system-out").text
    assert failed.find("failure").text.splitlines()[0] == lines[1]
    assert failed.get("classname") == "production.checkout"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (403, {"detail": "This needs the right 'read'.", "code": "forbidden"}),
            "the right 'read'",
        ),
        ((503, {"detail": "Later."}), "Later."),
        ((200, b"<html>"), "not one of a configuration service"),
        ((200, {"errors": 1}), "not one of a configuration service"),
        ((301, {}), "leads elsewhere"),
    ],
)
def test_server__that_does_not_answer_the_question__ends_with_two(
    asked, tmp_path, capsys, answer, said
):
    asked.answers = [answer]

    assert main(["validate", write(tmp_path, {"a.json": "{}"}), "--environment", "e"]) == 2
    assert said in capsys.readouterr().err


def test_service__that_is_not_there__is_an_error_of_its_file(asked, tmp_path, capsys):
    folder = write(tmp_path / "f", {"a\x01.json": "{}", "b.json": "{}", ".git/c.json": "{}"})
    (tmp_path / "f" / "d.json").mkdir()
    report = tmp_path / "report.xml"
    asked.answers = [(404, {"detail": "Nothing.", "code": "not_found"})]

    status = main(["validate", folder, "--environment", "e", "--junit", str(report)])

    assert status == 1
    assert "There is no a\x01 in e" in capsys.readouterr().out
    suite = ET.parse(report).getroot()  # noqa: S314 - our own
    assert [each.find("failure") is not None for each in suite] == [True, False]


def test_arguments__that_name_nothing__end_with_two(asked, tmp_path, capsys):
    folder = write(tmp_path, {"a.txt": "", "b/c.bin": ""})
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\xfa")

    assert main(["validate", f"{folder}/b"]) == 2
    assert main(["validate", f"{folder}/a.txt", "--environment", "e"]) == 2
    assert main(["validate", f"{folder}/bad.yaml", "--environment", "e"]) == 2
    assert main(["validate", folder, "--service", "x"]) == 2
    assert main(["validate", folder, "--url", "ftp://x", "--environment", "e"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err
    assert asked == []
