"""Which address a proxied name stands for, and which are never asked. The requests themselves: tests/conformance."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.endpoint_proxy import EndpointProxy, Place, is_proxyable, split_name
from orchestrator.apiserver.html_links import moved_page, moved_url
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key


@pytest.mark.parametrize(
    ("text", "parts"),
    [("web", ("", "web", "")), ("web:80", ("", "web", "80")), ("https:web:", ("https", "web", "")),
     ("http:web:front", ("http", "web", "front"))],
)  # fmt: skip
def test_a_name_may_carry_scheme_and_port(text, parts):
    assert split_name(text) == parts


@pytest.mark.parametrize("text", ["ftp:web:21", ":80", "a:b:c:d", "http::80"])
def test_other_names_are_refused(text):
    with pytest.raises(errors.BadRequest):
        split_name(text)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "224.0.0.1", "localhost", ""])
def test_what_is_this_hosts_own_is_never_asked(address):
    assert not is_proxyable(address)
    assert is_proxyable("10.244.0.7")


async def serve(client, name: str, addresses: list[str], ready: bool = True) -> None:
    ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
    await client.create(kinds.SERVICES, {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports}})
    labels = {"kubernetes.io/service-name": name}
    await client.create(kinds.ENDPOINTSLICES, {
        "metadata": {"name": name, "namespace": "default", "labels": labels}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 8081}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    })  # fmt: skip


def place(api, name: str) -> Place:
    return EndpointProxy(api)._place(Call("get", kinds.SERVICES, "default", name, "proxy"))


async def test_a_service_stands_for_an_endpoint_that_is_ready(api, client):
    await serve(client, "web", ["10.9.0.1"])
    assert place(api, "web:http") == Place("http", "10.9.0.1", 8080)
    assert place(api, "https:web:81") == Place("https", "10.9.0.1", 8081)
    with pytest.raises(errors.ServiceUnavailable, match='no service port ""'):
        place(api, "web")
    with pytest.raises(errors.NotFound):
        place(api, "ghost:80")
    await serve(client, "empty", ["10.9.0.2"], ready=False)
    with pytest.raises(errors.ServiceUnavailable, match='no endpoints available for service "empty"'):
        place(api, "empty:http")


async def test_endpoints_written_by_hand_lead_nowhere_inside_this_host(api, client):
    await serve(client, "inward", ["10.9.0.3"])
    record = api.store.latest(kinds.ENDPOINTSLICES.storage_key, Key("default", "inward"))
    endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
    await api.store.update(record.resource, record.key, {**record.obj, "endpoints": endpoints}, expect=record.revision)
    with pytest.raises(errors.BadRequest, match='address not allowed: "127.0.0.1"'):
        place(api, "inward:http")


PREFIX = "/api/v1/namespaces/d/pods/web:80/proxy"
HOSTS = ("10.9.0.1:80",)


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("/login?next=/a#top", f"{PREFIX}/login?next=/a#top"),
        ("http://10.9.0.1:80/static/", f"{PREFIX}/static/"),
        (f"{PREFIX}/login", f"{PREFIX}/login"),
        ("../up", "../up"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("mailto:me@example.com", "mailto:me@example.com"),
        ("http://[broken", "http://[broken"),
        ("", ""),
    ],
)
def test_an_address_of_the_backend_stays_below_the_proxy(url, moved):
    assert moved_url(url, PREFIX, HOSTS) == moved


def test_only_the_links_of_a_page_are_moved():
    page = (
        '<!DOCTYPE html>\n<!-- <a href="/comment"> -->\n<img alt="/x" src=/logo.png>'
        "<a class=b\n href='/a?b=1&amp;c=2'>/text</a> &eacute; \udcff <a href=\"far\">\n"
        '<script src="/app.js">let page = \'<a href="/script">\'</script>'
    )
    moved = moved_page(page, "/p", ())
    assert moved == (
        page.replace("src=/logo.png", 'src="/p/logo.png"')
        .replace("'/a?b=1&amp;c=2'", '"/p/a?b=1&amp;c=2"')
        .replace('src="/app.js"', 'src="/p/app.js"')
    )
