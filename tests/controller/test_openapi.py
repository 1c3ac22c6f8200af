"""The API's description: there for every route, valid, served as JSON, YAML and a page."""

import json
import subprocess
import sys

import yaml
from openapi_spec_validator import validate

from controller.api import catalogue, openapi
from controller.api.examples import ERRORS, EXAMPLES
from tests.controller import described


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


def operations():
    return [
        (method.upper(), path, operation)
        for path, methods in openapi.document()["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_and_parameter_is_in_words():
    known = {catalogue.key_of(method, path) for method, path, _ in operations()}
    assert known == set(catalogue.SENTENCES), known ^ set(catalogue.SENTENCES)
    assert len(catalogue.SENTENCES) == sum(len(section.operations) for section in catalogue.SECTIONS)  # no one twice
    for method, path, operation in operations():
        assert operation["summary"] and len(operation["summary"]) < 90, (method, path)
        assert operation["tags"] == [catalogue.SECTION_OF[catalogue.key_of(method, path)]]
        assert all(each["description"] for each in operation.get("parameters", ())), (method, path)
    assert [tag["name"] for tag in openapi.document()["tags"]] == [section.name for section in catalogue.SECTIONS]


def test_examples_are_what_the_schemas_say():
    found = 0
    for method, path, operation in operations():
        sent, answered = EXAMPLES.get(catalogue.key_of(method, path), (None, None))
        if sent is not None:
            content = operation["requestBody"]["content"]["application/json"]
            assert content["example"] == sent
            described.held_against(content["schema"], sent)
        if answered is not None:
            shown = [each.get("content", {}).get("application/json", {}) for each in operation["responses"].values()]
            content = next(each for each in shown if each.get("example") == answered)
            described.held_against(content["schema"], answered)
        found += (sent is not None) + (answered is not None)
    assert found == sum(each is not None for pair in EXAMPLES.values() for each in pair)  # none for a route that isn't


def test_refusals_have_shapes():
    answers = openapi.document()["paths"]["/v2/apps/{app}/config/"]["post"]["responses"]
    assert {"201", "401", "403", "404", "4XX", "503"} <= set(answers)
    assert "401" not in openapi.document()["paths"]["/v2/auth/login/"]["post"]["responses"]
    for example in ERRORS.values():
        described.held_against({"$ref": "#/components/schemas/Error"}, example["value"])


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
