"""nginx's configuration for a static site, from its static.json: `render.py FOLDER [fallback]` writes it to stdout.

static.json, as in Heroku's static buildpack:
    root            folder to serve: "public/"; found by itself when missing
    clean_urls      true: /about serves about.html
    routes          {"/**": "index.html"}: what answers where no file is (history fallback)
    redirects       {"/old": {"url": "/new", "status": 301}}
    headers         {"/assets/**": {"Cache-Control": "max-age=31536000"}}
    error_page      "errors/404.html"
    https_only      true: redirects plain requests
    gzip            false switches compression off
"""

import json
import os
import re
import sys

KEYS = ("root", "clean_urls", "routes", "redirects", "headers", "error_page", "https_only", "gzip")
ROOTS = ("public", "dist", "build", "out", "_site", ".")
FALLBACK = {"/**": "index.html"}  # of what a JavaScript build made and no static.json describes, without a 404.html
HEADER = re.compile(r"[A-Za-z0-9-]+")
TYPES = (
    "text/css text/plain text/xml text/javascript application/javascript application/json application/xml "
    "application/manifest+json application/wasm image/svg+xml font/ttf"
)


class Invalid(ValueError):
    """static.json holds something that can't be served."""


def read(folder, fallback=False):
    """static.json as a dictionary; `fallback`: without one, what is no file is index.html. Raises: Invalid."""
    try:
        with open(os.path.join(folder, "static.json"), encoding="utf-8") as file:
            config = json.load(file)
    except FileNotFoundError:
        own_page = os.path.isfile(os.path.join(folder, root_of({}, folder), "404.html"))
        return {"routes": FALLBACK} if fallback and not own_page else {}
    except ValueError as exc:
        raise Invalid(f"static.json is not valid JSON: {exc}") from exc
    if not isinstance(config, dict):
        raise Invalid("static.json must be an object: {...}")
    unknown = sorted(set(config) - set(KEYS))
    if unknown:
        print(f"static.json: {', '.join(unknown)} is not known here and ignored", file=sys.stderr)
    return config


def quote(text, what):
    """A string in nginx's configuration. Raises: Invalid for what nginx would take for its own."""
    if not isinstance(text, str) or re.search(r"[\x00-\x1f\x7f$]", text):
        raise Invalid(f"static.json: {what} must be text without control characters and $")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def pattern(route, what):
    """A regular expression for a route: `*` within a folder, `**` across folders."""
    if not isinstance(route, str) or not route.startswith("/"):
        raise Invalid(f"static.json: {what} {route!r} must start with /")
    parts = re.split(r"(\*\*|\*)", route)
    return "^" + "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts) + "$"


def root_of(config, folder):
    """The folder that is served, relative to the app. Raises: Invalid when it isn't there."""
    named = config.get("root")
    if named is None:
        return next((name for name in ROOTS if os.path.isfile(os.path.join(folder, name, "index.html"))), ".")
    if not isinstance(named, str) or os.path.isabs(named) or ".." in named.split("/"):
        raise Invalid("static.json: root must be a folder of the app")
    name = os.path.normpath(named)
    if not os.path.isdir(os.path.join(folder, name)):
        raise Invalid(
            f"static.json: the root {named!r} is not in the app's folder (is it made by a build that didn't run?)"
        )
    return name


def table(config, key):
    value = {} if config.get(key) is None else config[key]
    if not isinstance(value, dict):
        raise Invalid(f"static.json: {key} must be an object")
    return value


def header_lines(config):
    """`map` blocks for the http level and `add_header` lines for the server."""
    maps, adds = [], []
    for route, values in table(config, "headers").items():
        if not isinstance(values, dict):
            raise Invalid(f"static.json: headers of {route!r} must be an object")
        for name, value in values.items():
            if not HEADER.fullmatch(name):
                raise Invalid(f"static.json: {name!r} is not a header name")
            variable = f"$header_{len(adds)}"
            expression = quote("~" + pattern(route, "the header route").replace("$", ""), "a header route")[:-1] + '$"'
            maps.append(f'  map $uri {variable} {{ default ""; {expression} {quote(value, f"the header {name}")}; }}')
            adds.append(f"    add_header {name} {variable} always;")
    return maps, adds


def location(route, body, what):
    return f'    location ~ "{pattern(route, what)}" {{ {body} }}'.replace("\\-", "-")


def render(config, folder):
    """The whole configuration."""
    root = os.path.normpath(os.path.join("/app", root_of(config, folder)))
    maps, adds = header_lines(config)
    clean = " $uri.html" if config.get("clean_urls") else ""
    places = []
    for old, target in table(config, "redirects").items():
        target = target if isinstance(target, dict) else {"url": target}
        status = target.get("status", 301)
        if status not in (301, 302, 303, 307, 308):
            raise Invalid(f"static.json: {status!r} is not a redirect's status")
        places.append(location(old, f"return {status} {quote(target.get('url'), 'a redirect')};", "the redirect"))
    for route, fallback in table(config, "routes").items():
        file = quote("/" + str(fallback).lstrip("/"), "a route's file")
        places.append(location(route, f"try_files $uri $uri/index.html{clean} {file};", "the route"))
    error = config.get("error_page") or (
        "404.html" if os.path.isfile(os.path.join(root.replace("/app", folder, 1), "404.html")) else ""
    )
    lines = [
        "daemon off;",
        "worker_processes 1;",
        "pid /tmp/nginx.pid;",
        "events { worker_connections 4096; }",
        "http {",
        "  include /etc/nginx/mime.types;",
        "  default_type application/octet-stream;",
        "  charset utf-8;",
        "  sendfile on;",
        "  tcp_nopush on;",
        "  server_tokens off;",
        "  keepalive_timeout 75s;",
        "  access_log /dev/stdout;",
        *(f"  {name}_temp_path /tmp/nginx_{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        *(
            []
            if config.get("gzip") is False
            else ["  gzip on;", "  gzip_vary on;", "  gzip_proxied any;", f"  gzip_types {TYPES};"]
        ),
        *maps,
        "  server {",
        "    listen 5000;",
        f"    root {quote(root, 'root')};",
        "    index index.html;",
        "    absolute_redirect off;",
        *adds,
        *([f"    error_page 404 {quote('/' + str(error).lstrip('/'), 'error_page')};"] if error else []),
        *(
            ['    if ($http_x_forwarded_proto = "http") { return 301 https://$host$request_uri; }']
            if config.get("https_only")
            else []
        ),
        '    location ~ "/\\.(?!well-known/)" { return 404; }',
        *places,
        f"    location / {{ try_files $uri $uri/index.html{clean} =404; }}",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(render(read(sys.argv[1], sys.argv[2:] == ["fallback"]), sys.argv[1]))
    except Invalid as exc:
        print(exc, file=sys.stderr)
        sys.exit(1)
