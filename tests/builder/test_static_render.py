import importlib.util
import subprocess
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "builder" / "buildpacks" / "static" / "render.py"
spec = importlib.util.spec_from_file_location("static_render", FILE)
static_render = importlib.util.module_from_spec(spec)
spec.loader.exec_module(static_render)


def site(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return str(tmp_path)


def test_the_served_folder_is_found_by_its_index(tmp_path):
    assert 'root "/app/dist";' in static_render.render({}, site(tmp_path, "dist/index.html"))
    assert 'root "/app";' in static_render.render({"root": "."}, str(tmp_path))


def test_routes_redirects_and_headers_become_directives(tmp_path):
    config = {
        "routes": {"/**": "index.html"},
        "redirects": {"/old": {"url": "/new", "status": 302}},
        "headers": {"/assets/*": {"Cache-Control": "max-age=9"}},
        "https_only": True,
        "gzip": False,
    }
    text = static_render.render(config, site(tmp_path, "index.html"))
    assert 'location ~ "^/old$" { return 302 "/new"; }' in text
    assert 'try_files $uri $uri/index.html "/index.html";' in text
    assert '"~^/assets/[^/]*$" "max-age=9";' in text and "add_header Cache-Control $header_0 always;" in text
    assert "return 301 https://" in text and "gzip on" not in text


def test_a_site_that_was_built_falls_back_to_its_index_unless_it_says_otherwise(tmp_path):
    folder = site(tmp_path, "out/index.html")
    assert static_render.read(folder, fallback=True) == {"routes": {"/**": "index.html"}}
    assert static_render.read(folder) == {}
    site(tmp_path, "out/404.html")
    assert static_render.read(folder, fallback=True) == {}
    (tmp_path / "static.json").write_text('{"gzip": false}')
    assert static_render.read(folder, fallback=True) == {"gzip": False}


@pytest.mark.parametrize(
    "config",
    [
        {"root": "../x"},
        {"root": "/etc"},
        {"root": "missing"},
        {"routes": []},
        {"routes": {"no-slash": "x"}},
        {"redirects": {"/a": {"url": "x; } evil {"}, "/b": {"url": "$host"}}},
        {"redirects": {"/a": {"url": "/b", "status": 200}}},
        {"headers": {"/": {"Bad Name": "x"}}},
        {"headers": {"/": {"X": "a\nb"}}},
    ],
)
def test_what_cannot_be_served_is_named(tmp_path, config):
    with pytest.raises(static_render.Invalid, match="static.json"):
        static_render.render(config, site(tmp_path, "index.html"))


def test_a_broken_static_json_is_named(tmp_path):
    (tmp_path / "static.json").write_text("{")
    with pytest.raises(static_render.Invalid, match="not valid JSON"):
        static_render.read(str(tmp_path))


def test_nginx_accepts_what_comes_out(tmp_path):
    config = {
        "routes": {"/app/**": "index.html", "/a-b": "x.html"},
        "headers": {"/**": {"X-Say": 'it is "quoted" \\ here'}},
        "redirects": {"/x": {"url": "/y"}},
        "error_page": "404.html",
    }
    text = static_render.render(config, site(tmp_path, "index.html"))
    path = tmp_path / "nginx.conf"
    path.write_text(text.replace("/app", str(tmp_path)).replace("daemon off;", "daemon off;\nerror_log stderr;"))
    done = subprocess.run(["nginx", "-t", "-e", "stderr", "-c", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
