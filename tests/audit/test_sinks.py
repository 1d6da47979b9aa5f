"""Copies of the ledger in a file and at a syslog collector, and what happens without them."""

import json
import re
import resource
import signal
import socket
import threading
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.django_db


FRAME = re.compile(rb"(\d+) ")
HEAD = re.compile(
    r"<(110|108)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ configsvc \d+ \S{1,32} - (\{.*\})"
)


class Collector:
    """A syslog collector over TCP: reads frames (RFC 6587) until the sender has closed."""

    def __init__(self, context=None):
        self.context, self.octets, self.socket = context, [], socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                stream, _address = self.socket.accept()
            except OSError:
                return
            if self.context:
                stream = self.context.wrap_socket(stream, server_side=True)
            parts = []
            while part := stream.recv(65_536):
                parts.append(part)
            self.octets.append(b"".join(parts))
            stream.close()

    def stop(self):
        if self.socket.fileno() == -1:
            return
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def messages(self):
        found = []
        for octets in self.octets:
            at = 0
            while at < len(octets):
                frame = FRAME.match(octets, at)
                at = frame.end() + int(frame[1])
                found.append(octets[frame.end() : at].decode("ascii"))
        return found


def read(messages):
    return [json.loads(HEAD.fullmatch(message)[2]) for message in messages]


@pytest.fixture
def operator(make_api):
    """Of a test alone: the others count all events of the ledger."""
    return make_api("administrator")


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()


@pytest.fixture
def sink_file(settings, tmp_path):
    settings.AUDIT_FILE = str(tmp_path / "ledger.jsonl")
    return tmp_path / "ledger.jsonl"


def act(system, slug):
    from apps.configs.services.places import create_service

    return create_service(actor=system, slug=slug)


def numbers(path):
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def ledger(after=0):
    from apps.audit.models import AuditEvent

    return list(
        AuditEvent.objects.filter(number__gt=after).order_by("number").values("number", "hash")
    )


def test_required_file__an_act__is_in_the_file_before_the_answer(system, settings, sink_file):
    settings.AUDIT_FILE_REQUIRED = True

    act(system, "one")
    act(system, "two")

    lines = [json.loads(line) for line in sink_file.read_text().splitlines()]
    assert [{"number": each["number"], "hash": each["hash"]} for each in lines] == ledger()
    assert sink_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["/dev/full", "{tmp}/missing/ledger.jsonl", "{tmp}"])
def test_required_file__cannot_be_written__is_503_and_nothing_changes(
    operator, settings, tmp_path, place
):
    from apps.audit.models import AuditEvent
    from apps.registry.models import Service

    before = AuditEvent.objects.count()
    settings.AUDIT_FILE, settings.AUDIT_FILE_REQUIRED = place.format(tmp=tmp_path), True

    answer = operator.post("/services", {"slug": "shop"})

    problem = json.loads(answer.content)
    assert (answer.status_code, problem["code"]) == (503, "sink")
    assert str(tmp_path) not in problem["detail"]
    assert not Service.objects.filter(slug="shop").exists()
    assert AuditEvent.objects.count() == before
    settings.AUDIT_FILE = str(tmp_path / "back.jsonl")
    assert operator.post("/services", {"slug": "shop"}).status_code == 201


@contextmanager
def file_size_limit(octets):
    """No file of this process grows beyond it: as full as a disk can be made without a mount."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    original = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, original)


def test_required_file__fills_up_inside_a_line__keeps_whole_lines_and_goes_on(
    system, settings, sink_file
):
    from apps.engine.errors import UnavailableError

    settings.AUDIT_FILE_REQUIRED = True
    act(system, "one")
    size = sink_file.stat().st_size

    with file_size_limit(size + 20), pytest.raises(UnavailableError):
        act(system, "two")

    assert sink_file.stat().st_size == size
    act(system, "two")
    assert numbers(sink_file) == [each["number"] for each in ledger()]


def test_required_sink__was_not_required_before__is_brought_up_to_date_first(
    system, settings, sink_file
):
    act(system, "one")
    assert not sink_file.exists()

    settings.AUDIT_FILE_REQUIRED = True
    act(system, "two")

    assert numbers(sink_file) == [each["number"] for each in ledger()]


def test_required_syslog__gone__is_503_and_comes_back(operator, settings, collector):
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{collector.port}"
    settings.AUDIT_SYSLOG_REQUIRED = True
    assert operator.post("/services", {"slug": "one"}).status_code == 201
    sent = read(collector.messages())

    collector.stop()
    refused = operator.post("/services", {"slug": "two"})
    other = Collector()
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{other.port}"
    accepted = operator.post("/services", {"slug": "two"})
    other.stop()

    assert (sent[-1]["action"], sent[-1]["target"]) == ("service.created", "service:one")
    assert (refused.status_code, accepted.status_code) == (503, 201)
    assert [each["target"] for each in read(other.messages())] == ["service:two"]


def test_optional_sinks__fail__keep_no_act_and_are_served_later_in_order(
    system, settings, sink_file, tmp_path
):
    from apps.audit import sending
    from apps.core import clock
    from apps.core.models import Job
    from apps.core.runner import run_due

    settings.AUDIT_FILE = "/dev/full"
    act(system, "one")
    act(system, "two")

    run_due()

    (status,) = sending.list_sinks()
    assert (status.lag, status.error) == (2, "No space left on device")
    job = Job.objects.get(kind=sending.JOB, finished_at__isnull=True)
    assert "No space left on device" in job.last_error
    settings.AUDIT_FILE = str(sink_file)
    run_due(now=clock.now() + sending.timedelta(minutes=1))
    assert numbers(sink_file) == [each["number"] for each in ledger()]
    assert [(each.lag, each.error) for each in sending.list_sinks()] == [(0, "")]


def test_optional_syslog__one_sink_fails__the_other_is_served(
    system, settings, sink_file, collector
):
    from apps.core.runner import run_due

    settings.AUDIT_FILE = "/dev/full"
    settings.AUDIT_SYSLOG = f"tcp://127.0.0.1:{collector.port}"
    act(system, "one")

    run_due()

    assert [each["number"] for each in read(collector.messages())] == [
        each["number"] for each in ledger()
    ]


def test_syslog__datagrams__arrive_over_udp_and_the_local_socket(system, settings, tmp_path):
    from apps.core.runner import run_due

    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(str(tmp_path / "log"))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    addresses = (f"unix://{tmp_path}/log", f"udp://127.0.0.1:{udp.getsockname()[1]}")

    for receiver, address, slug in zip((local, udp), addresses, ("one", "two"), strict=True):
        settings.AUDIT_SYSLOG = address
        act(system, slug)
        run_due()
        receiver.settimeout(5)
        (event,) = read([receiver.recv(65_536).decode("ascii")])
        receiver.close()

        assert event["target"] == f"service:{slug}"


def test_syslog__tls__is_read_by_a_trusted_collector_alone(system, settings, tmp_path):
    import ssl

    from apps.engine.errors import UnavailableError

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    collector = Collector(context)
    settings.AUDIT_SYSLOG = f"tls://localhost:{collector.port}"
    settings.AUDIT_SYSLOG_REQUIRED = True
    settings.AUDIT_SYSLOG_CA = str(tmp_path / "server.pem")

    act(system, "one")

    assert [each["target"] for each in read(collector.messages())] == ["service:one"]
    settings.AUDIT_SYSLOG_CA = ""
    collector.context = None  # the handshake fails on our side, whatever it says
    with pytest.raises(UnavailableError):
        act(system, "two")
    collector.stop()


def certificate(folder):
    """A key and a certificate for ``localhost`` by itself, in one file."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"audit_file_required": True}, "AUDIT_FILE"),
        ({"audit_syslog_required": True}, "AUDIT_SYSLOG"),
        ({"audit_syslog": "http://collector"}, "udp://"),
        ({"audit_syslog": "tcp://"}, "udp://"),
        ({"audit_syslog": "tcp://host:99999"}, "udp://"),
        ({"audit_syslog": "udp://host:514", "audit_syslog_required": True}, "UDP"),
    ],
)
def test_settings__sinks_that_could_not_hold__are_refused(given, word):
    from configsvc.checks import check_sinks
    from configsvc.env import Env, UnsafeSettingError

    with pytest.raises(UnsafeSettingError, match=word):
        check_sinks(Env(**given))


def test_act__its_event_cannot_be_written__does_not_happen(operator, monkeypatch):
    from django.db import connection

    from apps.registry.models import Service

    def refuse(execute, sql, params, many, context):
        if sql.startswith("INSERT") and "audit_auditevent" in sql:
            from django.db import OperationalError

            raise OperationalError("the ledger is away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        answer = operator.post("/services", {"slug": "shop"})

    assert answer.status_code == 503
    assert not Service.objects.filter(slug="shop").exists()
