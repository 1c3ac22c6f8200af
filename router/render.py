"""Settings → nginx.conf: written once, at start. What changes later (routes, endpoints, certificates) is not in it."""

from __future__ import annotations

import hashlib
import os
import re
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from router.settings import Address, Settings

SOURCE = Path(__file__).resolve().parent
LUA, PAGES = SOURCE / "lua", SOURCE / "pages"
PLATFORM_BODY_LIMIT = 512 * 1024 * 1024
KEEPALIVE_PER_WORKER = 256  # idle connections to pods


@dataclass(frozen=True)
class Host:
    """What the machine offers, seen once so that rendering stays pure."""

    nginx_version: tuple[int, ...]
    modules: Path
    has_ipv6: bool
    is_root: bool
    open_files: int


def render_config(settings: Settings, host: Host) -> str:
    return CONFIG.format(
        digest=source_digest(),
        user=f"user {settings.user};" if host.is_root else "",
        workers=settings.workers,
        connections=min(8192, host.open_files // 2),
        open_files=host.open_files,
        data=settings.data,
        modules=host.modules,
        lua=LUA,
        pages=PAGES,
        lua_cpath=f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}/lua/5.1/?.so",
        keepalive=KEEPALIVE_PER_WORKER,
        body_limit=PLATFORM_BODY_LIMIT,
        https_port=_public_port(settings),
        real_ip=_real_ip(settings.trusted_proxies),
        trusted="\n".join(f"        {network} 1;" for network in settings.trusted_proxies),
        listens="\n".join(_listens(settings, host)),
        tls=TLS.format(data=settings.data) if settings.https_listen else "",
        metrics=METRICS.format(listen=settings.metrics_listen) if settings.metrics_listen else "",
    )


def source_digest() -> str:
    """Changes with the Lua and the pages, so that a running nginx learns of new ones."""
    digest = hashlib.sha256()
    for path in sorted([*LUA.glob("*.lua"), *PAGES.glob("*.html")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _public_port(settings: Settings) -> str:
    port = settings.https_listen[0].port if settings.https_listen else 443
    return "" if port == 443 else f":{port}"


def _real_ip(networks: Iterable[str]) -> str:
    lines = [f"    set_real_ip_from {network};" for network in networks]
    return "\n".join([*lines, "    real_ip_header X-Forwarded-For;", "    real_ip_recursive on;"] if lines else [])


def _listens(settings: Settings, host: Host) -> list[str]:
    lines = []
    separate_http2 = host.nginx_version >= (1, 25, 1)
    for address in settings.http_listen:
        lines += _listen(address, "", host)
    for address in settings.https_listen:
        lines += _listen(address, " ssl" if separate_http2 else " ssl http2", host)
    if separate_http2 and settings.https_listen:
        lines.append("        http2 on;")
    return lines


def _listen(address: Address, options: str, host: Host) -> list[str]:
    """One socket per worker (reuseport), which also lets a new master bind while an old one's workers still serve."""
    options = f"{options} default_server reuseport backlog=4096"
    port = address.port
    wanted = [Address("0.0.0.0", port), Address("::", port)] if address.host == "*" else [address]
    lines = []
    for each in wanted:
        if each.is_ipv6:
            if host.has_ipv6:
                lines.append(f"        listen {each}{options} ipv6only=on;")
        else:
            lines.append(f"        listen {each}{options};")
    return lines


def parse_version(text: str) -> tuple[int, ...]:
    """From what `nginx -v` prints: `nginx version: nginx/1.22.1`."""
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def write_private(path: Path, text: str) -> None:
    """Atomically, readable by its owner only."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


TLS = """
        ssl_certificate {data}/default.crt;
        ssl_certificate_key {data}/default.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_prefer_server_ciphers off;
        ssl_session_cache shared:tls:4m;
        ssl_session_timeout 1h;
        ssl_certificate_by_lua_block {{ require("certificates").choose() }}
"""

METRICS = """
    server {{
        listen {listen} reuseport;
        access_log off;
        location = /metrics {{ content_by_lua_block {{ require("admin").metrics() }} }}
        location = /healthz {{ content_by_lua_block {{ require("admin").health() }} }}
        location = /ready {{ content_by_lua_block {{ require("admin").ready() }} }}
        location / {{ return 404 "Only /metrics, /healthz and /ready are here.\\n"; }}
    }}
"""

CONFIG = """\
# Written by `python -m router`; changes made here are lost. Lua and pages: {digest}
{user}
daemon off;
pid {data}/nginx.pid;
error_log {data}/error.log error;
worker_processes {workers};
worker_rlimit_nofile {open_files};
worker_shutdown_timeout 300s;
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;

events {{
    worker_connections {connections};
    multi_accept on;
}}

http {{
    lua_package_path "{lua}/?.lua;/usr/share/lua/5.1/?.lua;;";
    lua_package_cpath "{lua_cpath};;";
    lua_shared_dict routes 48m;
    lua_shared_dict metrics 8m;
    lua_shared_dict state 64k;
    init_by_lua_block {{
        require("pages").load("{pages}")
        require("routes").load_snapshot("{data}/routes.json")
        local request = require("request")
        request.https_port = "{https_port}"
        request.platform_body_limit = {body_limit}
        for _, name in ipairs({{"addresses", "admin", "balancer", "certificates", "metrics"}}) do
            require(name)
        end
    }}
    init_worker_by_lua_block {{
        require("admin").register_worker()
        require("metrics").start()
        ngx.timer.every(60, require("balancer").prune)
    }}
    exit_worker_by_lua_block {{ require("metrics").flush() }}

    client_body_temp_path {data}/temporary/body;
    proxy_temp_path {data}/temporary/proxy;
    fastcgi_temp_path {data}/temporary/fastcgi;
    uwsgi_temp_path {data}/temporary/uwsgi;
    scgi_temp_path {data}/temporary/scgi;

    map $request_uri $log_path {{
        "~^(?<bare>[^?]*)" $bare;
    }}
    log_format requests escape=json
        '{{"time":"$time_iso8601","app":"$app","host":"$host","method":"$request_method","path":"$log_path",'
        '"status":$status,"bytes":$bytes_sent,"duration":$request_time,"upstream":"$upstream_addr",'
        '"upstream_time":"$upstream_response_time","client":"$remote_addr","protocol":"$server_protocol",'
        '"request_id":"$request_id"}}';
    access_log {data}/access.log requests buffer=32k flush=250ms;

    server_tokens off;
    gzip off;
    tcp_nodelay on;
    merge_slashes off;
    reset_timedout_connection on;
    client_header_timeout 30s;
    client_body_timeout 60s;
    send_timeout 60s;
    keepalive_timeout 75s;
    keepalive_requests 100000;
    large_client_header_buffers 4 16k;
    client_max_body_size 0;
{real_ip}
    geo $realip_remote_addr $from_trusted_proxy {{
        default 0;
{trusted}
    }}
    map "$from_trusted_proxy $http_x_forwarded_proto" $forwarded_proto {{
        default $scheme;
        "1 http" http;
        "1 https" https;
    }}

    upstream kept {{
        server 0.0.0.1;
        balancer_by_lua_block {{ require("balancer").pick() }}
        keepalive {keepalive};
        keepalive_requests 100000;
        keepalive_timeout 60s;
    }}
    upstream fresh {{
        server 0.0.0.1;
        balancer_by_lua_block {{ require("balancer").pick() }}
    }}

    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_buffer_size 16k;
    proxy_buffers 4 16k;
    proxy_max_temp_file_size 0;
    proxy_next_upstream error timeout;
    proxy_next_upstream_timeout 20s;
    proxy_socket_keepalive on;
    proxy_pass_header Server;
    proxy_pass_header Date;
    proxy_set_header Host $http_host;
    proxy_set_header Connection $upstream_connection;
    proxy_set_header Upgrade $upstream_upgrade;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $forwarded_proto;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header X-Request-Start "t=$msec";
    proxy_set_header Forwarded "";
    proxy_set_header Proxy "";

    server {{
{listens}
{tls}
        set $app "";
        set $pool kept;
        set $upstream_connection "";
        set $upstream_upgrade "";
        error_page 502 504 @failed;

        log_by_lua_block {{
            require("balancer").finish()
            require("metrics").count()
        }}
        header_filter_by_lua_block {{ require("request").answered() }}
        location / {{
            rewrite_by_lua_block {{ require("request").route() }}
            proxy_pass http://$pool;
        }}
        location @draining {{
            keepalive_timeout 0;
            rewrite_by_lua_block {{ require("request").route(true) }}
            proxy_pass http://$pool;
        }}
        location @failed {{
            content_by_lua_block {{ require("pages").say(require("balancer").explain()) }}
        }}
    }}

    server {{
        listen unix:{data}/admin.sock;
        access_log off;
        client_body_buffer_size 64m;
        client_max_body_size 64m;
        location = /table {{ content_by_lua_block {{ require("admin").table() }} }}
        location = /version {{ content_by_lua_block {{ require("admin").version() }} }}
        location = /drain {{ content_by_lua_block {{ require("admin").drain() }} }}
        location = /connections {{ content_by_lua_block {{ require("admin").connections() }} }}
        location = /workers {{ content_by_lua_block {{ require("admin").workers() }} }}
        location = /metrics {{ content_by_lua_block {{ require("admin").metrics() }} }}
        location = /healthz {{ content_by_lua_block {{ require("admin").health() }} }}
        location = /ready {{ content_by_lua_block {{ require("admin").ready() }} }}
        location / {{ return 404 "No such thing here.\\n"; }}
    }}
{metrics}
}}
"""
