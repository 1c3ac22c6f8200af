"""Examples for the API's description: what a client sends, and what it gets. A test holds them against the schemas."""

from __future__ import annotations

from typing import Any

TIME = "2026-01-02T03:04:05Z"
DATES = {"created": TIME, "updated": TIME}
CONFIG_ID, BUILD_ID = "5bd6f4b9-5c8d-4f8a-9a53-6f6f1f2b8c01", "0b1b1b7e-6f0e-4d53-8a43-2c9a1f0d7e02"
OWNED = {"uuid": "de1bf5b5-4a72-4f94-a10c-d2a3741cdf75", "app": "hello", "owner": "alice", **DATES}

USER = {
    "email": "alice@example.com", "username": "alice", "first_name": "", "last_name": "", "is_superuser": False,
    "is_staff": False, "groups": [], "user_permissions": [], "last_login": TIME, "date_joined": TIME,
    "is_active": True,
}  # fmt: skip
APP = {
    "uuid": "c4aed81c-d1ca-4ff1-ab89-d2151264e1a3", "id": "hello", "owner": "alice",
    "structure": {"web": 2, "worker": 1}, "procfile_structure": {"web": "python app.py", "worker": "python work.py"},
    **DATES,
}  # fmt: skip
CONFIG = {
    **OWNED, "uuid": CONFIG_ID, "values": {"GREETING": "hi"}, "memory": {"web": "128M/256M"}, "cpu": {"web": "500m"},
    "tags": {}, "registry": {}, "healthcheck": {}, "termination_grace_period": {}, "lifecycle_post_start": {},
    "lifecycle_pre_stop": {},
}  # fmt: skip
BUILD = {
    **OWNED, "uuid": BUILD_ID, "image": "example/hello:1.4", "stack": "", "sha": "",
    "procfile": {"web": "python app.py"}, "dockerfile": "",
}  # fmt: skip
RELEASE = {
    **OWNED, "version": 3, "summary": "alice added GREETING", "failed": False, "exception": None,
    "config": CONFIG_ID, "build": BUILD_ID,
}  # fmt: skip
POD = {"name": "hello-web-6f9b4cf985-cxgvk", "state": "up", "release": "v3", "type": "web", "started": TIME}
DOMAIN = {"owner": "alice", **DATES, "app": "hello", "domain": "www.example.com"}
SETTINGS = {
    **OWNED, "maintenance": False, "routable": True, "whitelist": [], "label": {"team": "core"},
    "autoscale": {"web": {"min": 2, "max": 8, "cpu_percent": 70}},
}  # fmt: skip
KEY = {
    "uuid": "7c7d5c5b-8a0b-4c4d-9d0e-0f1a2b3c4d05", "owner": "alice", **DATES, "id": "alice@laptop",
    "public": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAPYa7ztrkGyl/LSpBxv0DjPej74GCSVItX9Y2+/zxc+ alice@laptop",
    "fingerprint": "75:9a:b3:81:13:40:c2:78:32:aa:e3:b4:93:2a:12:c9",
}  # fmt: skip
CERTIFICATE = {
    "id": 1, "owner": "alice", "name": "www", "common_name": "www.example.com", "san": ["www.example.com"],
    "domains": ["www.example.com"], "fingerprint": ":".join(["AC"] * 32), "expires": "2027-01-02T03:04:05Z",
    "starts": TIME, "issuer": "/C=US/O=Example/CN=Example CA", "subject": "/C=US/CN=www.example.com", **DATES,
}  # fmt: skip
PEM = "-----BEGIN {0}-----\n…\n-----END {0}-----\n"
PATHS = {"procfile_type": "api", "path_pattern": "/api"}
ADDRESSES = {"addresses": ["192.0.2.7", "198.51.100.0/24"]}
TOKEN = {"token": "9d3f3a1c0b8e4d6f9a7b5c2e1f0d8c6b4a2e9f7d"}


def page(row: dict[str, Any]) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row]}


# By operation: what is sent (None for nothing), and what is answered.
EXAMPLES: dict[str, tuple[Any, Any]] = {
    "POST /auth/register/": (
        {"username": "alice", "password": "correct horse", "email": "alice@example.com"},
        {**USER, "last_login": None},
    ),
    "POST /auth/login/": ({"username": "alice", "password": "correct horse"}, TOKEN),
    "GET /auth/whoami/": (None, USER),
    "POST /auth/passwd/": ({"password": "correct horse", "new_password": "battery staple"}, {"status": "password set"}),
    "GET /keys/": (None, page(KEY)),
    "POST /keys/": ({"id": KEY["id"], "public": KEY["public"]}, KEY),
    "GET /keys/{name}": (None, KEY),
    "GET /users/": (None, page(USER)),
    "GET /admin/perms/": (None, page({"username": "admin", "is_superuser": True})),
    "POST /admin/perms/": ({"username": "alice"}, None),
    "GET /apps/": (None, page(APP)),
    "POST /apps/": ({"id": "hello"}, {**APP, "structure": {}, "procfile_structure": {}}),
    "GET /apps/{app}/": (None, APP),
    "POST /apps/{app}/": ({"owner": "bob"}, None),
    "GET /apps/{app}/perms/": (None, {"users": ["bob"]}),
    "POST /apps/{app}/perms/": ({"username": "bob"}, None),
    "GET /apps/{app}/builds/": (None, page(BUILD)),
    "POST /apps/{app}/builds/": ({"image": "example/hello:1.4", "procfile": {"web": "python app.py"}}, BUILD),
    "GET /apps/{app}/builds/{uuid}/": (None, BUILD),
    "GET /apps/{app}/releases/": (None, page(RELEASE)),
    "GET /apps/{app}/releases/v{version}/": (None, RELEASE),
    "POST /apps/{app}/releases/rollback/": ({"version": 2}, {"version": 4}),
    "GET /apps/{app}/config/": (None, CONFIG),
    "POST /apps/{app}/config/": ({"values": {"GREETING": "hi", "OLD": None}, "memory": {"web": "128M/256M"}}, CONFIG),
    "POST /apps/{app}/scale/": ({"web": 2, "worker": 1}, None),
    "GET /apps/{app}/pods/": (None, {"results": [POD], "count": 1}),
    "POST /apps/{app}/pods/restart/": ({}, [POD]),
    "POST /apps/{app}/pods/{type}/restart/": ({}, [POD]),
    "POST /apps/{app}/run/": ({"command": "python -V"}, {"exit_code": 0, "output": "Python 3.13.1\n"}),
    "GET /apps/{app}/domains/": (None, page(DOMAIN)),
    "POST /apps/{app}/domains/": ({"domain": "www.example.com"}, DOMAIN),
    "GET /apps/{app}/settings/": (None, SETTINGS),
    "POST /apps/{app}/settings/": (
        {"maintenance": False, "autoscale": {"web": {"min": 2, "max": 8, "cpu_percent": 70}}},
        SETTINGS,
    ),
    "GET /apps/{app}/whitelist/": (None, ADDRESSES),
    "POST /apps/{app}/whitelist/": (ADDRESSES, ADDRESSES),
    "DELETE /apps/{app}/whitelist/": (ADDRESSES, None),
    "GET /apps/{app}/tls/": (None, {**OWNED, "https_enforced": None}),
    "POST /apps/{app}/tls/": ({"https_enforced": True}, {**OWNED, "https_enforced": True}),
    "GET /apps/{app}/services/": (None, {"services": [PATHS]}),
    "POST /apps/{app}/services/": (PATHS, PATHS),
    "DELETE /apps/{app}/services/": ({"procfile_type": "api"}, None),
    "GET /certs/": (None, page(CERTIFICATE)),
    "POST /certs/": (
        {"name": "www", "certificate": PEM.format("CERTIFICATE"), "key": PEM.format("PRIVATE KEY")},
        CERTIFICATE,
    ),
    "GET /certs/{name}/": (None, CERTIFICATE),
    "POST /certs/{name}/domain/": ({"domain": "www.example.com"}, None),
    "POST /hooks/config/": ({"receive_user": "alice", "receive_repo": "hello"}, CONFIG),
    "POST /hooks/build/": (
        {
            "receive_user": "alice",
            "receive_repo": "hello",
            "sha": "a1b2c3d4",
            "image": "127.0.0.1:5000/hello:git",
            "procfile": {"web": "python app.py"},
            "dockerfile": "",
        },
        {"release": {"version": 3}},
    ),
}

ERRORS: dict[str, dict[str, Any]] = {
    "field": {"summary": "400: a field that doesn't hold", "value": {"domain": ["Hostname does not look valid."]}},
    "detail": {"summary": "400: the request as a whole", "value": {"detail": "version cannot be below 0"}},
    "conflict": {"summary": "409", "value": {"detail": "alice changed nothing - release stopped"}},
    "absent": {"summary": "422: an unset of what isn't there", "value": {"detail": "A does not exist under values"}},
}
