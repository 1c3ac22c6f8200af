"""`paas doctor`: each check says what it saw; what is broken fails by itself, with what to do."""

import base64
import contextlib
import socket
import ssl
import threading
from datetime import timedelta

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

from controller import disk
from controller.actions import doctor, platform_certificates
from controller.models import App, Certificate, Domain, Operation, User


def levels(admin):
    answer = admin.get("/v2/doctor")
    assert answer.status_code == 200
    return {each["name"]: each for each in answer.json()["findings"]}


def test_everything_is_looked_at_although_half_of_it_is_away(admin, settings):
    """No Redis, registry or router here: those fail with what to do, the others are told all the same."""
    settings.REGISTRY_HOST = "127.0.0.1:1"
    found = levels(admin)
    assert {"domain", "disk", "memory", "database", "work", "certificates", "registry", "redis"} <= found.keys()
    assert found["redis"]["level"] == found["registry"]["level"] == "fail"
    assert found["database"]["level"] == "ok", found["database"]
    assert all(each["fix"] for each in found.values() if each["level"] != "ok")


@pytest.mark.parametrize(
    ("share", "level", "refused"), [(0.5, "ok", False), (0.06, "warn", False), (0.01, "fail", True)]
)
def test_a_disk_that_fills_is_told_and_then_refuses_builds(blue, admin, builder, monkeypatch, share, level, refused):
    monkeypatch.setattr(disk, "room", lambda: disk.Room(int(share * (20 << 30)), 20 << 30))
    assert next(doctor.look_at_disk()).level == level
    run = builder.post("/v2/hooks/build-runs/", {"receive_user": "bob", "receive_repo": "blue", "source": "git-ssh"})
    assert run.status_code == (507 if refused else 201)
    if refused:
        assert "disk is nearly full" in run.json()["detail"] and "paas gc" in run.json()["detail"]


def test_large_disks_are_low_by_bytes_not_by_share():
    assert not disk.Room(30 << 30, 4000 << 30).is_low and disk.Room(4 << 30, 4000 << 30).is_low


def test_an_ending_certificate_and_waiting_work_are_told(live, admin):
    bob, app = User.objects.get(username="bob"), App.objects.get(name="blue")
    now = timezone.now()
    old = Certificate.objects.create(
        owner=bob, name="old", expires=now - timedelta(days=1), starts=now - timedelta(days=90)
    )
    row = Operation.objects.filter(app=app).first()
    Operation.objects.filter(pk=row.pk).update(state=Operation.QUEUED, created=now - timedelta(minutes=5))
    found = levels(admin)
    assert found["certificate"]["level"] == "fail" and "old ends" in found["certificate"]["text"]
    assert found["certificate"]["fix"] == "no domain shows it: `paas certs:remove old`"
    Domain.objects.create(app=app, owner=bob, domain="a.test", canonical="a.test", certificate=old)
    assert levels(admin)["certificate"]["fix"].endswith("`paas certs:attach NAME a.test`")
    assert found["work"]["level"] == "fail"


@pytest.mark.parametrize(
    ("conditions", "level"),
    [
        ([{"type": "Ready", "status": "True"}], "ok"),
        ([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}], "fail"),
        ([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}], "warn"),
        ([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2199-01-01T00:00:00Z"}], "warn"),
    ],
)
def test_nodes_are_judged_by_their_conditions(conditions, level):
    node = {"metadata": {"name": "n1"}, "status": {"conditions": conditions}}
    assert doctor.look_at_node(node).level == level


def signed(days, name="127.0.0.1"):
    """A certificate that ends in so many days, and its key, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), timezone.now()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=900)).not_valid_after(now + timedelta(days=days))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


@contextlib.contextmanager
def tls_server(folder, days):
    """The port of a server that shows a certificate with so many days left."""
    path = folder / f"{days}.pem"
    path.write_bytes(b"".join(signed(days)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                        """The handshake is all."""

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_the_platforms_own_certificates_are_told_before_they_end(tmp_path, monkeypatch, settings):
    def kubeconfig(authority, own, port):
        inline = [base64.b64encode(signed(days)[0]).decode() for days in (authority, own)]
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": inline[0]}
        user = {"client-certificate-data": inline[1]}
        content = {"clusters": [{"cluster": cluster}], "users": [{"user": user}]}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))

    def node(name, port):
        endpoint = {"kubeletEndpoint": {"Port": port}}
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        return {"metadata": {"name": name}, "status": {"addresses": [address], "daemonEndpoints": endpoint}}

    settings.KUBECONFIG = str(tmp_path / "kubeconfig")
    with tls_server(tmp_path, 400) as server, tls_server(tmp_path, 30) as ending, tls_server(tmp_path, -5) as ended:
        nodes = [node("n1", ending), node("n2", ended), node("n3", 1)]
        monkeypatch.setattr(
            platform_certificates, "cluster", lambda: type("Nodes", (), {"list": lambda *_: (nodes, "1")})()
        )
        kubeconfig(3000, 500, server)
        found = list(doctor.look_at_platform_certificates())
        assert [(each.level, each.text.rpartition(" ")[0]) for each in found] == [
            ("fail", "the kubelet's of node n2 ended"), ("warn", "the kubelet's of node n1 ends"),
        ]  # fmt: skip
        assert all("make up" in each.fix for each in found)
        nodes.clear()
        (well,) = doctor.look_at_platform_certificates()
        assert well.level == "ok"
        assert well.text.startswith("3 looked at, the first to end is the API server's on ")
        kubeconfig(10, 5, server)
        assert "move $PAAS_HOME/orchestrator/pki away" in list(doctor.look_at_platform_certificates())[1].fix
