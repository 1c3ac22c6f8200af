import pytest

from orchestrator.network.policy import Pod, directions_of, plan_policies, read_pods, slim_pod
from orchestrator.network.services import Rules

NAMESPACES = [{"metadata": {"name": name, "labels": {"team": name}}} for name in ("shop", "lab")]
WEB = Pod("10.201.0.2", "shop", {"app": "web"}, (("http", "TCP", 5000),))
DB = Pod("10.201.0.3", "shop", {"app": "db"}, (("http", "TCP", 5432),))
NOT_WEB = {"key": "app", "operator": "NotIn", "values": ["web"]}
OTHER = Pod("10.201.0.4", "lab", {"app": "web"}, (("http", "TCP", 8000),))


def policy(selector=None, **spec):
    return {"metadata": {"namespace": "shop", "name": "rule"}, "spec": {"podSelector": selector or {}, **spec}}


def chains(*policies):
    """pod address → its lines, for each direction."""
    rules = Rules()
    plan_policies(rules, policies, [WEB, DB, OTHER], NAMESPACES)
    return tuple(
        {address: list(rules.chains[chain]) for address, chain in isolated.items()}
        for isolated in (rules.isolated_in, rules.isolated_out)
    )


def allowed(**rule):
    """What an ingress rule for web allows."""
    return chains(policy({"matchLabels": {"app": "web"}}, ingress=[rule]))[0][WEB.address][:-1]


def test_a_policy_isolates_the_pods_it_selects_in_its_namespace_only():
    incoming, outgoing = chains(policy({"matchLabels": {"app": "web"}}))
    assert incoming == {WEB.address: ["drop"]} and outgoing == {}


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, "ip saddr { 10.201.0.2, 10.201.0.3 } return"),
        ({"namespaceSelector": {}}, "ip saddr { 10.201.0.2, 10.201.0.3, 10.201.0.4 } return"),
        ({"namespaceSelector": {"matchLabels": {"team": "lab"}}}, "ip saddr { 10.201.0.4 } return"),
        (
            {"namespaceSelector": {}, "podSelector": {"matchExpressions": [NOT_WEB]}},
            "ip saddr { 10.201.0.3 } return",
        ),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, "ip saddr 192.0.2.0/24 return"),
        (
            {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}},
            "ip saddr 192.0.2.0/24 ip saddr != { 192.0.2.7/32 } return",
        ),
    ],
)  # fmt: skip
def test_peers_are_pods_namespaces_both_or_blocks(peer, expected):
    assert allowed(**{"from": [peer]}) == [expected]


def test_a_peer_that_is_nobody_allows_nobody():
    assert allowed(**{"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}) == []


def test_a_rule_without_peers_allows_everybody():
    assert allowed() == ["return"]
    assert allowed(**{"from": []}) == ["return"]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80}, "tcp dport 80 return"),
        ({"port": 53, "protocol": "UDP"}, "udp dport 53 return"),
        ({"port": 80, "endPort": 90}, "tcp dport 80-90 return"),
        ({"protocol": "UDP"}, "meta l4proto udp return"),
        ({"port": "http"}, "tcp dport 5000 return"),
    ],
)
def test_ports_are_numbers_ranges_protocols_or_names(port, expected):
    assert allowed(ports=[port]) == [expected]


def test_policies_of_one_pod_add_up():
    several = [policy(ingress=[{"ports": [{"port": number}]}]) for number in (80, 443)]
    assert chains(*several)[0][WEB.address] == ["tcp dport 80 return", "tcp dport 443 return", "drop"]


def test_a_named_port_on_the_way_out_is_each_destinations_own():
    out = policy(policyTypes=["Egress"], egress=[{"to": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]}])
    lines = chains(out)[1][WEB.address]
    assert lines == [
        "ip daddr . tcp dport { 10.201.0.2 . 5000, 10.201.0.3 . 5432, 10.201.0.4 . 8000 } return",
        "drop",
    ]


def test_directions_follow_from_the_rules_when_not_said():
    assert directions_of(policy()) == ["Ingress"]
    assert directions_of(policy(egress=[{}])) == ["Ingress", "Egress"]
    assert directions_of(policy(policyTypes=["Egress"])) == ["Egress"]


def test_only_pods_with_an_address_of_their_own_count():
    def obj(**parts):
        spec = {
            "containers": [{"image": "x", "ports": [{"name": "http", "containerPort": 1}]}],
            **parts.get("spec", {}),
        }
        status = {"podIP": "10.201.0.9", "phase": "Running", **parts.get("status", {})}
        return {"metadata": {"namespace": "shop", "name": "p"}, "spec": spec, "status": status}

    found = read_pods(
        slim_pod(each)
        for each in (
            obj(),
            obj(spec={"hostNetwork": True}),
            obj(status={"phase": "Succeeded"}),
            obj(status={"podIP": None}),
        )
    )
    assert found == [Pod("10.201.0.9", "shop", {}, (("http", "TCP", 1),))]
