import base64
import json

from router.settings import Address
from router.table import Memo, build_table, plan_change

DOMAIN = "paas.localhost"


def service(name="hello", namespace="hello", created="2026-01-01T00:00:00Z", **annotations):
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app": namespace},
            "creationTimestamp": created,
            "annotations": {f"router.deis.io/{key.replace('_', '.')}": value for key, value in annotations.items()},
        }
    }


def endpoint(address, **conditions):
    return {"addresses": [address], "conditions": {"ready": True, **conditions}}


def endpoint_slice(*endpoints, service="hello", namespace="hello", ports=({"port": 5000},), suffix="a"):
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"{service}-{suffix}",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": list(ports),
        "endpoints": list(endpoints),
    }


def secret(name="www-cert", namespace="hello", crt="CRT", key="KEY"):
    return {
        "metadata": {"namespace": namespace, "name": name},
        "data": {
            f"tls.{part}": base64.b64encode(text.encode()).decode() for part, text in (("crt", crt), ("key", key))
        },
    }


def build(services=(), slices=(), secrets=(), static=None):
    return build_table(services, slices, secrets, domain=DOMAIN, static=static or {})


def test_a_bare_name_belongs_to_the_platform_domain_and_a_full_one_stays():
    entries = build([service(domains="hello,WWW.Example.test.,*.wild.test")]).entries
    assert {key for key in entries if key.startswith("host:")} == {
        "host:hello.paas.localhost",
        "host:www.example.test",
        "host:*.wild.test",
    }


def test_only_ready_endpoints_are_peers():
    pods = endpoint_slice(
        endpoint("10.0.0.2"), endpoint("10.0.0.1"), endpoint("10.0.0.3", ready=False), endpoint("10.0.0.4", ready=None)
    )
    peers = json.loads(build([service()], [pods]).entries["peers:hello/hello"])
    assert peers == [["10.0.0.1", 5000], ["10.0.0.2", 5000], ["10.0.0.4", 5000]]


def test_a_terminating_endpoint_is_no_peer_while_another_is_ready():
    ending = endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    pods = endpoint_slice(ending, endpoint("10.0.0.2"))
    assert json.loads(build([service()], [pods]).entries["peers:hello/hello"]) == [["10.0.0.2", 5000]]
    assert json.loads(build([service()], [endpoint_slice(ending)]).entries["peers:hello/hello"]) == [["10.0.0.1", 5000]]


def test_an_endpoint_in_two_slices_is_one_peer():
    slices = [endpoint_slice(endpoint("10.0.0.1")), endpoint_slice(endpoint("10.0.0.1"), suffix="b")]
    assert json.loads(build([service()], slices).entries["peers:hello/hello"]) == [["10.0.0.1", 5000]]


def test_the_port_named_http_is_taken_before_others():
    pods = endpoint_slice(endpoint("10.0.0.1"), ports=[{"name": "admin", "port": 1}, {"name": "http", "port": 2}])
    assert json.loads(build([service()], [pods]).entries["peers:hello/hello"]) == [["10.0.0.1", 2]]


def test_of_two_services_that_claim_a_host_the_older_has_it():
    young = service("young", "young", created="2026-02-01T00:00:00Z", domains="same.test")
    old = service("old", "old", created="2026-01-01T00:00:00Z", domains="same.test")
    table = build([young, old])
    assert table.entries["host:same.test"] == "old/old"
    assert "which old/old already has" in table.problems[0]


def test_the_platforms_own_host_cannot_be_taken_by_an_app():
    table = build([service(domains="deis")], static={"deis.paas.localhost": Address("127.0.0.1", 8000)})
    assert table.entries["host:deis.paas.localhost"] == "static/deis.paas.localhost"
    assert json.loads(table.entries["peers:static/deis.paas.localhost"]) == [["127.0.0.1", 8000]]


def test_what_is_no_host_name_is_named_as_a_problem():
    table = build([service(domains="a b.test,ok.test,ex;ample.test")])
    assert "host:ok.test" in table.entries
    assert len(table.problems) == 2


def test_maintenance_ssl_and_whitelist_reach_the_route():
    asked = service(maintenance="true", ssl_enforce="true", whitelist="10.1.2.3/8,2001:db8::1,junk")
    table = build([asked])
    assert json.loads(table.entries["route:hello/hello"]) == {
        "app": "hello",
        "maintenance": True,
        "ssl_enforce": True,
        "whitelist": [["0a000000", 8], ["20010db8000000000000000000000001", 128]],
    }
    assert "'junk'" in table.problems[0]


def test_a_whitelist_of_which_nothing_can_be_read_lets_nobody_in():
    assert json.loads(build([service(whitelist="junk")]).entries["route:hello/hello"])["whitelist"] == []


def test_locations_are_sorted_as_nginx_would_and_their_services_get_peers():
    asked = [
        {"pattern": "~ ^/v[0-9]+/", "service": "hello-api"},
        {"pattern": "/a,/a/longer", "service": "hello-a"},
        {"pattern": "= /exact", "service": "hello-e"},
        {"pattern": "nonsense", "service": "hello-x"},
    ]
    pods = endpoint_slice(endpoint("10.0.0.9"), service="hello-api")
    table = build([service(locations=json.dumps(asked))], [pods])
    route = json.loads(table.entries["route:hello/hello"])
    assert [(item["kind"], item["value"]) for item in route["locations"]] == [
        ("exact", "/exact"), ("prefix", "/a/longer"), ("prefix", "/a"), ("regex", "^/v[0-9]+/"),
    ]  # fmt: skip
    assert json.loads(table.entries["peers:hello/hello-api"]) == [["10.0.0.9", 5000]]
    assert "'nonsense'" in table.problems[0]


def test_a_certificate_serves_the_domain_it_is_attached_to():
    table = build([service(domains="www.test", certificates="www.test:www")], secrets=[secret()])
    assert table.entries["cert:www.test"] == "hello/www-cert"
    assert json.loads(table.entries["pem:hello/www-cert"]) == {"crt": "CRT", "key": "KEY"}


def test_a_certificate_for_another_apps_domain_is_not_served():
    victim = service("victim", "victim", created="2025-01-01T00:00:00Z", domains="bank.test")
    thief = service("thief", "thief", domains="bank.test", certificates="bank.test:www")
    table = build([victim, thief], secrets=[secret(namespace="thief")])
    assert not [key for key in table.entries if key.startswith(("cert:", "pem:"))]


def test_a_missing_certificate_is_a_problem_and_the_route_stays():
    table = build([service(domains="www.test", certificates="www.test:www")])
    assert "host:www.test" in table.entries
    assert "hello/www-cert" in table.problems[0]


def test_a_change_holds_only_what_differs():
    change = plan_change({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "5", "d": "4"})
    assert change == ({"b": "5", "d": "4"}, ["c"])
    assert not plan_change({"a": "1"}, {"a": "1"})


def test_an_app_says_how_long_it_may_stay_silent():
    def timeout(text):
        return json.loads(build([service(tcpTimeout=text)]).entries["route:hello/hello"]).get("timeout")

    assert [timeout(text) for text in ("90s", "20m", "1300", "1h", "99h")] == [90, 1200, 1300, 3600, 86400]
    assert timeout("soon") is None
    assert "'soon'" in build([service(tcpTimeout="soon")]).problems[0]


def test_only_what_changed_is_rendered_again():
    memo, services = Memo(), [service("a", "a", domains="a"), service("b", "b", domains="b")]
    slices = [endpoint_slice(endpoint("10.0.0.1"), service=name, namespace=name) for name in ("a", "b")]

    def build_again():
        return build_table(services, slices, [], domain=DOMAIN, static={}, memo=memo).entries

    before = build_again()
    slices[1] = endpoint_slice(endpoint("10.0.0.2"), service="b", namespace="b")
    after = build_again()
    assert after["peers:a/a"] is before["peers:a/a"]
    assert json.loads(after["peers:b/b"]) == [["10.0.0.2", 5000]]
    services.pop()
    assert not [key for key in build_again() if "b/b" in key]
    assert plan_change(build_again(), build([services[0]], slices).entries) == ({}, [])
