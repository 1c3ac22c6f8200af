"""Answers held against the API's own description, by every test that speaks to the API."""

import json
import re
from functools import cache

from jsonschema import Draft4Validator

from controller.api import openapi


def check(method: str, path: str, status: int, content_type: str, content: bytes) -> None:
    """Raises: AssertionError when the description doesn't have this answer."""
    operation = operation_of(method, path.partition("?")[0])
    nowhere = status == 404 and content_type.startswith("text/html")  # without its slash it is no route of the API
    if operation is None or nowhere or status in (405, 501):
        return
    described = answers_of(method, operation)
    known = described.get(str(status)) or described.get(f"{status // 100}XX")
    assert known is not None, f"{method} {path} answered {status}, which its description doesn't have: {content[:200]}"
    bodies = known.get("content", {})
    if not bodies:
        assert not content, f"{method} {path}: {status} has a body, {content[:200]}, where none is described"
    elif content_type.startswith("application/json"):
        schema = validator(method, operation, next(key for key, value in described.items() if value is known))
        problems = [f"{list(each.path)}: {each.message}" for each in schema.iter_errors(json.loads(content))]
        assert not problems, f"{method} {path} {status}: {problems[:3]}"
    else:
        assert content_type.partition(";")[0] in bodies, f"{method} {path}: {content_type} is not described"


def held_against(schema: dict, value: object) -> None:
    """Raises: ValidationError when `value` is not what the description's `schema` says."""
    whole = {**json_schema(schema), "components": json_schema(json.loads(openapi.as_json())["components"])}
    Draft4Validator(whole).validate(value)


def answers_of(method: str, path: str) -> dict:
    return openapi.document()["paths"][path][method.lower()]["responses"]


@cache
def validator(method: str, path: str, status: str) -> Draft4Validator:
    body = answers_of(method, path)[status]["content"]["application/json"]["schema"]
    whole = {**json_schema(body), "components": json_schema(json.loads(openapi.as_json())["components"])}
    return Draft4Validator(whole)


def json_schema(schema):
    """OpenAPI 3.0's `nullable` as JSON Schema has it."""
    if isinstance(schema, list):
        return [json_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: json_schema(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


@cache
def routes() -> list[tuple[re.Pattern, str, set[str]]]:
    found = []
    for path, methods in openapi.document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.rstrip("/")))
        found.append((re.compile(pattern + "/?"), path, {method.upper() for method in methods}))
    return sorted(found, key=lambda route: route[1].count("{"))  # `rollback` before `{version}`


def operation_of(method: str, path: str) -> str | None:
    return next((name for pattern, name, methods in routes() if pattern.fullmatch(path) and method in methods), None)
