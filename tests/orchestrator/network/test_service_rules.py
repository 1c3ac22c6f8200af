from orchestrator.network.nft import render_change
from orchestrator.network.services import SERVICE_NAME, Rules, plan_rules, render_api_slice


def service(name="web", address="10.202.0.5", ports=({"port": 80, "protocol": "TCP"},), **spec):
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": address, "ports": list(ports), **spec},
    }


def endpoint(address, node="one", **conditions):
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": True, **conditions}}


def slice_of(*endpoints, name="web", ports=({"port": 5000, "protocol": "TCP"},), namespace="shop"):
    return {
        "metadata": {"namespace": namespace, "name": f"{name}-x", "labels": {SERVICE_NAME: name}},
        "addressType": "IPv4",
        "ports": list(ports),
        "endpoints": list(endpoints),
    }


def targets(rules, key):
    return " ".join(rules.chains[rules.services[key]])


def test_a_service_leads_to_its_ready_endpoints():
    pods = slice_of(endpoint("10.201.0.2"), endpoint("10.201.0.3"), endpoint("10.201.0.4", ready=False))
    rules = plan_rules([service()], [pods])
    assert "{ 0 : 10.201.0.2 . 5000, 1 : 10.201.0.3 . 5000 }" in targets(rules, "10.202.0.5 . tcp . 80")


def test_without_ready_endpoints_those_that_still_serve_are_used():
    ending = endpoint("10.201.0.2", ready=False, serving=True, terminating=True)
    assert "dnat to 10.201.0.2:5000" in targets(plan_rules([service()], [slice_of(ending)]), "10.202.0.5 . tcp . 80")
    both = plan_rules([service()], [slice_of(ending, endpoint("10.201.0.3"))])
    assert "10.201.0.2" not in targets(both, "10.202.0.5 . tcp . 80")


def test_a_service_without_endpoints_refuses_on_every_address_it_has():
    rules = plan_rules([service(ports=[{"port": 80, "nodePort": 30080}], externalIPs=["192.0.2.9"])], [])
    assert rules.refused == {"10.202.0.5 . tcp . 80", "192.0.2.9 . tcp . 80"}
    assert rules.refused_node_ports == {"tcp . 30080"}
    assert not rules.chains


def test_each_port_leads_to_the_endpoint_port_of_its_own_name_and_protocol():
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    ends = [{"name": "dns", "port": 1053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 2053, "protocol": "TCP"}]
    rules = plan_rules([service(ports=ports)], [slice_of(endpoint("10.201.0.2"), ports=ends)])
    assert "10.201.0.2:1053" in targets(rules, "10.202.0.5 . udp . 53")
    assert "10.201.0.2:2053" in targets(rules, "10.202.0.5 . tcp . 53")


def test_local_policy_uses_only_this_nodes_endpoints_for_outside_traffic():
    asked = service(type="NodePort", externalTrafficPolicy="Local", ports=[{"port": 80, "nodePort": 30080}])
    pods = slice_of(endpoint("10.201.0.2", node="one"), endpoint("10.201.1.2", node="two"))
    rules = plan_rules([asked], [pods], node_name="one")
    assert "10.201.1.2" not in " ".join(rules.chains[rules.node_ports["tcp . 30080"]])
    assert "10.201.1.2" in targets(rules, "10.202.0.5 . tcp . 80")
    assert plan_rules([asked], [pods], node_name="three").refused_node_ports == {"tcp . 30080"}


def test_a_load_balancer_admits_its_source_ranges_only():
    asked = service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/25", "192.0.2.128/25"])
    asked["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    rules = plan_rules([asked], [slice_of(endpoint("10.201.0.2"))])
    allowed, otherwise = rules.chains[rules.services["198.51.100.7 . tcp . 80"]]
    assert allowed.startswith("ip saddr { 192.0.2.0/24 } goto ")
    assert otherwise == "drop"


def test_headless_and_external_services_have_no_rules():
    listed = [service(address="None"), service("alias", address=None, type="ExternalName", externalName="x.test")]
    assert plan_rules(listed, [slice_of(endpoint("10.201.0.2"))]).services == {}


def test_what_is_no_address_never_reaches_the_kernel():
    hostile = slice_of(endpoint("10.201.0.2; flush ruleset"), endpoint("10.201.0.3"))
    rules = plan_rules([service()], [hostile])
    assert "flush" not in str(rules)
    assert "10.201.0.3" in targets(rules, "10.202.0.5 . tcp . 80")


def test_a_loopback_api_server_is_reached_at_the_gateway():
    kubernetes = service("kubernetes", "10.202.0.1", [{"name": "https", "port": 443}])
    kubernetes["metadata"]["namespace"] = "default"
    rules = plan_rules([kubernetes], [render_api_slice("10.201.0.1", 6443)])
    assert "dnat to 10.201.0.1:6443" in targets(rules, "10.202.0.1 . tcp . 443")


def test_a_change_touches_only_the_service_that_changed():
    services = [service(), service("other", "10.202.0.6")]
    before = plan_rules(services, [slice_of(endpoint("10.201.0.2")), slice_of(endpoint("10.201.0.9"), name="other")])
    after = plan_rules(services, [slice_of(endpoint("10.201.0.3")), slice_of(endpoint("10.201.0.9"), name="other")])
    script = render_change("t", before, after)
    assert "10.201.0.3:5000" in script and "10.201.0.9" not in script
    assert render_change("t", after, after) == ""


def test_a_service_that_goes_leaves_nothing():
    sticky = service(sessionAffinity="ClientIP")
    full = plan_rules([sticky], [slice_of(endpoint("10.201.0.2"), endpoint("10.201.0.3"))])
    script = render_change("t", full, Rules())
    for name in (*full.chains, *full.affinity):
        assert any(line.startswith("delete ") and line.endswith(f" {name}") for line in script.splitlines())
