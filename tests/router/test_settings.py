import pytest

from router.render import Host, render_config
from router.settings import Address, BadSetting, load_settings

HOST = Host((1, 22, 1), "/modules", True, True, 65536)
BASE = {"ROUTER_DATA": "/data"}


def config(host=HOST, **environment):
    return render_config(load_settings({**BASE, **environment}), host)


def test_a_star_listens_on_every_address_of_both_families():
    text = config(ROUTER_HTTP_LISTEN="*:8080")
    assert "listen 0.0.0.0:8080 default_server reuseport" in text
    assert "listen [::]:8080 default_server reuseport" in text


def test_a_host_without_ipv6_gets_no_ipv6_sockets():
    text = config(HOST.__class__((1, 22, 1), "/modules", False, True, 65536), ROUTER_HTTP_LISTEN="*:80,[::1]:81")
    assert "[::" not in text


def test_http2_is_said_as_the_nginx_version_wants_it():
    new = HOST.__class__((1, 26, 3), "/modules", True, True, 65536)
    assert "ssl http2 default_server" in config(ROUTER_HTTPS_LISTEN="127.0.0.1:443")
    text = config(new, ROUTER_HTTPS_LISTEN="127.0.0.1:443")
    assert "http2 on;" in text and "ssl http2" not in text


def test_static_hosts_and_networks_are_read():
    settings = load_settings({**BASE, "ROUTER_STATIC": '{"Paas.localhost.": "127.0.0.1:8000"}'})
    assert settings.static == {"paas.localhost": Address("127.0.0.1", 8000)}
    settings = load_settings({**BASE, "ROUTER_STATIC": '{"A.test ^~ /Builder/": "127.0.0.1:2280"}'})
    assert settings.static == {"a.test ^~ /Builder/": Address("127.0.0.1", 2280)}
    assert "set_real_ip_from 10.0.0.0/8;" in config(ROUTER_TRUSTED_PROXIES="10.0.0.0/8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROUTER_DATA", ""),
        ("ROUTER_HTTP_LISTEN", "8080"),
        ("ROUTER_HTTP_LISTEN", "host:8080"),
        ("ROUTER_HTTPS_LISTEN", "127.0.0.1:99999"),
        ("ROUTER_STATIC", "[]"),
        ("ROUTER_STATIC", '{"a": "b; evil"}'),
        ("ROUTER_TRUSTED_PROXIES", "10.0.0.0/8; evil"),
        ("ROUTER_WORKERS", "many"),
    ],
)
def test_a_bad_setting_is_named(name, value):
    with pytest.raises(BadSetting, match=name):
        load_settings({**BASE, name: value})
