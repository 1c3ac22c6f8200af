"""Where the builder may be sent by a URL of a user's."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

import pytest

from builder import egress
from builder.egress import is_allowed, parse_networks, proxy_of, refuse_literal, resolve
from builder.errors import BuildFailed


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "ff02::1"],
)  # fmt: skip
def test_inner_addresses_are_refused_unless_allowed(address):
    parsed = ipaddress.ip_address(address)
    assert not is_allowed(parsed, ())
    assert is_allowed(parsed, parse_networks("0.0.0.0/0, ::/0"))


def test_public_addresses_are_allowed():
    assert is_allowed(ipaddress.ip_address("140.82.112.3"), ())
    assert is_allowed(ipaddress.ip_address("2606:50c0:8000::153"), ())


def answer(monkeypatch, *addresses):
    async def getaddrinfo(*_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    async def scene():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return await resolve(urlsplit("https://git.example.com/x"), ())

    return asyncio.run(scene())


def test_a_name_leads_to_an_address_that_was_checked(monkeypatch):
    assert answer(monkeypatch, "127.0.0.1", "140.82.112.3") == "140.82.112.3"
    with pytest.raises(BuildFailed, match="within a private network"):
        answer(monkeypatch, "169.254.169.254")


def test_proxies_are_used_as_the_environment_says():
    environment = {"https_proxy": "http://proxy:3128", "no_proxy": "inner.test,.corp"}
    assert proxy_of(urlsplit("https://git.example.com/x"), environment) == "http://proxy:3128"
    for url in ("https://inner.test/x", "https://a.corp/x", "ssh://git@h/x", "http://h/x"):
        assert proxy_of(urlsplit(url), environment) == ""
    with pytest.raises(BuildFailed):
        refuse_literal(urlsplit("https://169.254.169.254/x"), ())
    assert egress.RESOLVE_TIMEOUT <= 30
