"""The API's description: there for every route, valid, served as JSON, YAML and a page."""

import json
import subprocess
import sys

import yaml
from openapi_spec_validator import validate

from controller.api import openapi


def test_every_method_of_every_route_says_what_it_gives():
    assert openapi.undescribed() == []


def test_the_document_is_valid_and_made_without_guesses(capfd):
    openapi.document.cache_clear()
    document = json.loads(json.dumps(openapi.document()))
    validate(document)
    assert "Warning" not in (said := capfd.readouterr().err) and "Error" not in said
    assert document["openapi"].startswith("3.")


def test_operations_have_names_of_their_own():
    names = [each["operationId"] for path in openapi.document()["paths"].values() for each in path.values()]
    assert len(names) == len(set(names)) > 100


def test_bodies_name_their_fields_and_refuse_others():
    body = openapi.document()["components"]["schemas"]["NewTokenRequest"]
    assert set(body["properties"]) == {"name", "scopes", "days", "app"} and body["additionalProperties"] is False


def test_it_is_served_to_everybody_as_json_and_yaml(anonymous):
    as_json, as_yaml = anonymous.get("/v2/schema"), anonymous.get("/v2/schema?format=yaml")
    assert as_json.json() == yaml.safe_load(as_yaml.content) == json.loads(openapi.as_json())


def test_the_page_loads_nothing_from_elsewhere(anonymous):
    page = anonymous.get("/v2/docs")
    assert page.status_code == 200 and b"http" not in page.content
    for file in page.content.decode().split('"'):
        if file.startswith("/static/"):
            assert anonymous.get(file).status_code == 200, file


def test_who_never_asks_pays_nothing():
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'controller.settings.testing'\n"
        "import controller.wsgi\n"
        "from django.test import Client\n"
        "assert Client().get('/v2/info').status_code == 200\n"
        "print('drf_spectacular.openapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr


def test_what_made_requests_found_is_refused_by_field(bob, builder):
    """Each once was an error of ours."""
    assert bob.post("/v2/keys/", {"id": "k", "public": "ssh-rsa \u00b0\u00ba"}).json().keys() == {"public"}
    assert builder.post("/v2/hooks/build-runs/abandoned/", {"age": 2.6e16}).json().keys() == {"age"}
