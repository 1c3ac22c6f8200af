from orchestrator.network.host_ports import HostPort, HostPorts, host_ports_of, plan_host_ports
from orchestrator.network.services import Rules, Target


def pod(*ports, **spec):
    return {"spec": {"containers": [{"ports": list(ports)}], **spec}}


def planned(*ports):
    rules = Rules()
    plan_host_ports(rules, host_ports_of(pod(*ports), "10.0.0.5"))
    return rules


def test_a_host_port_answers_on_every_address_of_the_node_or_on_one():
    rules = planned({"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP"})
    chain = rules.node_ports["tcp . 8080"]
    assert "dnat to 10.0.0.5:80" in rules.chains[chain][0]
    assert "dnat to 10.0.0.5:53" in rules.chains[rules.node_ports["udp . 53"]][0]
    rules = planned({"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"})
    assert list(rules.services) == ["127.0.0.1 . tcp . 8080"] and not rules.node_ports
    assert rules.hairpin == {"10.0.0.5 . 10.0.0.5"}


def test_the_same_port_of_several_addresses_and_protocols_belongs_to_several_pods():
    open_ports = HostPorts()
    for number, (host, protocol) in enumerate((("127.0.0.1", "TCP"), ("192.0.2.2", "TCP"), ("192.0.2.2", "UDP"))):
        asked = pod({"containerPort": 80, "hostPort": 54323, "hostIP": host, "protocol": protocol})
        open_ports.open(str(number), host_ports_of(asked, f"10.0.0.{number}"))
    rules = Rules()
    plan_host_ports(rules, open_ports)
    assert len({rules.services[key] for key in rules.services}) == 3


def test_pods_without_host_ports_and_on_the_hosts_network_ask_for_none():
    assert host_ports_of(pod({"containerPort": 80}), "10.0.0.5") == ()
    assert host_ports_of(pod({"containerPort": 80, "hostPort": 80}, hostNetwork=True), "192.0.2.2") == ()


def test_changes_are_told_and_only_changes():
    told = []
    table = HostPorts()
    table.on_change = lambda: told.append(1)
    ports = (HostPort("", "tcp", 80, Target("10.0.0.5", 80)),)
    table.open("a", ports)
    table.open("a", ports)
    table.open("b", ())
    table.close("b")
    assert len(told) == 1 and list(table) == list(ports)
    table.close("a")
    assert len(told) == 2 and list(table) == []
