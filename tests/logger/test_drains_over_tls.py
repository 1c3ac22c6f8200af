"""Drains over TLS, on real sockets: who can't prove its name gets nothing, and is asked again until it can."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from logger.syslog import framed, message
from tests.logger.test_drains import World, line, until, world  # noqa: F401

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA of somebody's own, in files as OpenSSL reads them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._begun(self.subject, self.key, NOW + DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, host: str = "127.0.0.1", ends: datetime.datetime = NOW + DAY) -> ssl.SSLContext:
        """What a server with this authority's certificate for `host` speaks TLS by."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(host))] if host[0].isdigit() else [x509.DNSName(host)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
        made = self._begun(subject, key, ends).add_extension(x509.SubjectAlternativeName(names), False)
        plain = serialization.NoEncryption()
        path = self.folder / "server.pem"
        path.write_bytes(
            made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime.datetime
    ) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(NOW - 2 * DAY).not_valid_after(ends)


@dataclass
class Receiver:
    port: int
    got: bytearray


@contextlib.asynccontextmanager
async def receiver(tls: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[Receiver]:
    """Takes syslog frames and HTTP posts alike, and answers the latter with 200; without TLS it greets."""
    got = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tls is None:
            writer.write(b"220 speak first\r\n")
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                got.extend(data)
                if b"POST " in got:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", port, ssl=tls)
    try:
        yield Receiver(server.sockets[0].getsockname()[1], got)
    finally:
        server.close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this machine trusts."""
    made = Authority(tmp_path, "own-ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@pytest.mark.parametrize("scheme", ["syslog+tls", "https"])
async def test_lines_go_to_who_has_a_certificate_of_a_trusted_authority(world: World, authority, scheme) -> None:  # noqa: F811
    async with receiver(authority.server()) as there:
        world.drain_to(f"{scheme}://127.0.0.1:{there.port}")
        await world.write(line(1, "one"))
        await until(lambda: framed(message("shop", line(1, "one")) + b"\n" * (scheme == "https")) in there.got)
        await until(
            lambda: world.drains.status()[0] == {"id": "d0", "app": "shop", "state": "delivering", "waiting": 0}
        )


@pytest.mark.parametrize("scheme", ["syslog+tls", "https"])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("authority", "its certificate isn't accepted: unable to get local issuer certificate; a CA of your own"),
        ("host", "its certificate isn't accepted: IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("time", "its certificate isn't accepted: certificate has expired"),
        ("plain", "it doesn't speak TLS as it should"),
    ],
)
async def test_a_wrong_certificate_is_told_and_gets_nothing_until_it_is_right(
    world: World,  # noqa: F811
    authority: Authority,
    tmp_path: Path,
    scheme: str,
    wrong: str,
    told: str,
) -> None:
    contexts = {
        "authority": lambda: Authority(tmp_path, "strange-ca").server(),
        "host": lambda: authority.server("logs.example.test"),
        "time": lambda: authority.server(ends=NOW - DAY),
        "plain": lambda: None,
    }
    async with receiver(contexts[wrong]()) as there:
        world.drain_to(f"{scheme}://127.0.0.1:{there.port}")
        await world.write(line(1, "a secret"), line(2, "two"))
        await until(lambda: world.drains.status()[0]["state"].startswith(f"not delivered: {told}"))
        assert world.drains.status()[0]["waiting"] in (0, 2)  # none while they are being tried
        assert b"secret" not in there.got
    async with receiver(authority.server(), there.port) as right:
        await until(lambda: b"two" in right.got)
        assert right.got.count(b"a secret") == 1
    await world.inbox.flush()
    assert f"a drain does not take lines, they wait: {told[:30]}" in world.text()


async def test_an_authority_that_becomes_trusted_is_taken_up_without_a_restart(
    world: World,  # noqa: F811
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Authority(tmp_path, "new-ca")
    async with receiver(other.server()) as there:
        world.drain_to(f"syslog+tls://127.0.0.1:{there.port}")
        await world.write(line(1, "one"))
        await until(lambda: "isn't accepted" in world.drains.status()[0]["state"])
        monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
        await until(lambda: b"one" in there.got)
