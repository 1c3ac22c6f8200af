"""The records of Kubernetes' DNS specification."""

import pytest

from orchestrator.network.names import Zone
from orchestrator.network.services import SERVICE_NAME


def service(name="web", address="10.202.0.5", namespace="shop", **spec):
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": address, "ports": ports, **spec}}


def slice_of(*endpoints, name="web", piece="x"):
    return {
        "metadata": {"namespace": "shop", "name": f"{name}-{piece}", "labels": {SERVICE_NAME: name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


def endpoint(address, hostname=None, ready=True):
    made = {"addresses": [address], "conditions": {"ready": ready}}
    return {**made, "hostname": hostname} if hostname else made


@pytest.fixture
def zone():
    zone = Zone("cluster.local", ("10.201.0.0/16", "10.202.0.0/16"))
    zone.change_namespace(None, {"metadata": {"name": "shop"}})
    zone.change_service(None, service())
    zone.change_service(None, service("db", "None"))
    zone.change_service(None, service("alias", None, type="ExternalName", externalName="Example.TEST."))
    zone.change_slice(None, slice_of(endpoint("10.201.0.2", "db-0"), endpoint("10.201.0.3"), name="db"))
    return zone


def ask(zone, name, kind="A"):
    answer = zone.answer(name, kind)
    return [value for _, _, value in answer.records] if answer.exists else None


def test_a_service_has_its_cluster_address_and_no_ipv6(zone):
    assert ask(zone, "web.shop.svc.cluster.local") == ["10.202.0.5"]
    assert ask(zone, "web.shop.svc.cluster.local", "AAAA") == []


def test_a_headless_service_has_the_addresses_of_its_ready_endpoints(zone):
    assert ask(zone, "db.shop.svc.cluster.local") == ["10.201.0.2", "10.201.0.3"]
    zone.change_slice(
        slice_of(endpoint("10.201.0.2", "db-0"), endpoint("10.201.0.3"), name="db"),
        slice_of(endpoint("10.201.0.2", "db-0", ready=False), endpoint("10.201.0.3"), name="db"),
    )
    assert ask(zone, "db.shop.svc.cluster.local") == ["10.201.0.3"]


def test_a_pod_of_a_headless_service_has_a_name_and_its_address_leads_back(zone):
    assert ask(zone, "db-0.db.shop.svc.cluster.local") == ["10.201.0.2"]
    assert ask(zone, "10-201-0-3.db.shop.svc.cluster.local") == ["10.201.0.3"]
    assert ask(zone, "2.0.201.10.in-addr.arpa", "PTR") == ["db-0.db.shop.svc.cluster.local"]
    assert ask(zone, "5.0.202.10.in-addr.arpa", "PTR") == ["web.shop.svc.cluster.local"]


def test_srv_names_port_and_target(zone):
    assert ask(zone, "_http._tcp.web.shop.svc.cluster.local", "SRV") == [(80, "web.shop.svc.cluster.local")]
    assert ask(zone, "_http._tcp.db.shop.svc.cluster.local", "SRV") == [
        (5000, "db-0.db.shop.svc.cluster.local"),
        (5000, "10-201-0-3.db.shop.svc.cluster.local"),
    ]
    assert ask(zone, "_other._tcp.web.shop.svc.cluster.local", "SRV") is None
    extra = zone.additional(zone.answer("_http._tcp.db.shop.svc.cluster.local", "SRV").records)
    assert ("db-0.db.shop.svc.cluster.local", "A", "10.201.0.2") in extra


def test_an_external_name_is_an_alias_to_follow(zone):
    answer = zone.answer("alias.shop.svc.cluster.local", "A")
    assert answer.records == [("alias.shop.svc.cluster.local", "CNAME", "Example.TEST")]
    assert answer.alias == "example.test"


def test_a_pod_address_is_a_name_in_any_namespace_that_exists(zone):
    zone.change_namespace(None, {"metadata": {"name": "without-services"}})
    assert ask(zone, "10-201-0-9.without-services.pod.cluster.local") == ["10.201.0.9"]
    assert ask(zone, "10-201-0-9.shop.pod.cluster.local") == ["10.201.0.9"]
    assert ask(zone, "10-201-0-9.nowhere.pod.cluster.local") is None
    assert ask(zone, "not-an-address.shop.pod.cluster.local") is None


def test_names_that_lead_to_others_exist_and_unknown_ones_do_not(zone):
    assert ask(zone, "shop.svc.cluster.local") == []
    assert ask(zone, "svc.cluster.local") == []
    assert ask(zone, "none.shop.svc.cluster.local") is None
    assert ask(zone, "web.shop.cluster.local") is None
    assert ask(zone, "dns-version.cluster.local", "TXT") == ["1.1.0"]


def test_only_the_clusters_own_names_and_addresses_are_ours(zone):
    assert zone.is_ours("anything.cluster.local") and zone.is_ours("9.9.201.10.in-addr.arpa")
    assert not zone.is_ours("notcluster.local") and not zone.is_ours("8.8.8.8.in-addr.arpa")


def test_a_deleted_service_and_its_slices_leave_no_name(zone):
    zone.change_slice(slice_of(endpoint("10.201.0.2", "db-0"), endpoint("10.201.0.3"), name="db"), None)
    zone.change_namespace({"metadata": {"name": "shop"}}, None)
    for each in (service(), service("db", "None"), service("alias", None, type="ExternalName", externalName="x.test")):
        zone.change_service(each, None)
    assert ask(zone, "shop.svc.cluster.local") is None
    assert ask(zone, "5.0.202.10.in-addr.arpa", "PTR") is None
    assert ask(zone, "2.0.201.10.in-addr.arpa", "PTR") is None
