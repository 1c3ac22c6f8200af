"""The API's OpenAPI document, from what each view says of itself (`shapes.py`), and the page that shows it.

drf-spectacular is imported when the document is first asked for; what is kept is its bytes.
"""

import json
import types
import typing
from dataclasses import fields, is_dataclass
from functools import cache

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, build_array_type, build_object_type
from rest_framework.permissions import AllowAny
from rest_framework.serializers import BaseSerializer

from controller.api import catalogue
from controller.api.authentication import FromBuilder
from controller.api.builds import AppJsonField, ProcfileField
from controller.api.deploys import ShareField
from controller.api.examples import ERRORS, EXAMPLES
from controller.api.scoping import Strict
from controller.api.sections import Section
from controller.api.shapes import Also, Forms, Page, Shape, Text, by_status
from controller.errors import Forbidden, Missing
from controller.middleware import API_VERSION

SCALARS = {str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"}}
NULL = type(None)
URL = {"type": "string", "nullable": True}
PAGE_PARAMETERS = {"limit": "rows of a page, 100 when not said", "offset": "rows to leave out first"}
DETAIL = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
MISSING = {"description": "A bare text, or `detail`.", "anyOf": [{"type": "string"}, DETAIL]}
ERROR = {
    "description": "What failed and what to do: `detail`, or sentences by field; a bare text for what isn't there.",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "additionalProperties": {}},
        {"type": "array", "items": {}},
    ],
}
SECURITY = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`token ` and the key that `paas login` got, or a personal one.",
    },
    "builder": {"type": "apiKey", "in": "header", "name": "X-Deis-Builder-Auth", "description": "The builder's key."},
}


class Described(AutoSchema):
    """One operation, from the view's `takes`, `gives` and `asks`."""

    def get_operation_id(self):
        words = [part.strip("{}") for part in self.path.split("/") if part and part != "v2"]
        return "_".join([self.method.lower(), *words]).replace("-", "_")

    def get_tags(self):
        return [catalogue.SECTION_OF.get(self._key, catalogue.PLATFORM.name)]

    def get_summary(self):
        return catalogue.split(catalogue.SENTENCES.get(self._key, self._key))[0]

    def get_description(self):
        handler = getattr(self.view, self.method.lower())
        said = (handler.__doc__ or type(self.view).__doc__ or "").replace("\n    ", "\n").strip()
        return "\n\n".join(text for text in (catalogue.split(catalogue.SENTENCES.get(self._key, ""))[1], said) if text)

    @property
    def _key(self) -> str:
        return catalogue.key_of(self.method, self.path)

    def get_auth(self):
        if FromBuilder in self.view.permission_classes:
            return [{"builder": []}]
        return [{}, {"token": []}] if AllowAny in self.view.permission_classes else [{"token": []}]

    def _is_list_view(self, serializer=None):
        return False

    def get_filter_backends(self):
        return []

    def map_parsers(self):
        return ["application/json"]

    def get_override_parameters(self):
        asked = dict(self.view.asks.get(self.method, {}))
        if any(isinstance(shape, Page) for shape in self._answers().values()):
            asked |= PAGE_PARAMETERS
        return [
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in asked.items()
        ]

    def _process_override_parameters(self, direction="request"):
        return {(each["name"], each["in"]): each for each in self.get_override_parameters()}

    def _map_serializer_field(self, field, direction, bypass_extensions=False):
        """A field that is null where its source is missing says so."""
        schema = super()._map_serializer_field(field, direction, bypass_extensions)
        return {**schema, "nullable": True} if field.default is None else schema

    def _get_request_body(self, direction="request"):
        shape = self.view.takes.get(self.method)
        if shape is None:
            return None
        content = {"schema": self._schema(shape, "request")}
        if (example := self._example(0)) is not None:
            content["example"] = example
        return {"content": {"application/json": content}}

    def _get_response_bodies(self, direction="response"):
        bodies = {str(status): self._answer(status, shape) for status, shape in self._answers().items()}
        error = {"application/json": {"schema": self._registered("Error", ERROR), "examples": dict(ERRORS)}}
        nowhere = {"text/html": {"schema": {"type": "string"}}}  # no such address, as Deis says it
        if AllowAny not in self.view.permission_classes:
            bodies["401"] = self._refusal("No token, or one that isn't valid.", "Detail", DETAIL, "Invalid token.")
            bodies["403"] = self._refusal("Not allowed.", "Detail", DETAIL, str(Forbidden()))
        if "{" in self.path:
            text = str(Missing("App"))
            missing = self._refusal("There is no such thing.", "Missing", MISSING, text)
            bodies["404"] = {**missing, "content": {**missing["content"], **nowhere}}
        bodies["4XX"] = {"description": "Refused: the answer says why.", "content": {**error, **nowhere}}
        if self.path.endswith("/hooks/build-runs/"):
            bodies["507"] = {"description": "The disk is nearly full.", "content": error}
        bodies["503"] = {"description": "The cluster, or something else that is needed, is away.", "content": error}
        return bodies

    def _refusal(self, about: str, name: str, schema: dict, text: str) -> dict:
        example = text if schema is MISSING else {"detail": text}
        content = {"schema": self._registered(name, schema), "example": example}
        return {"description": about, "content": {"application/json": content}}

    def _example(self, which: int) -> typing.Any:
        """What is sent (0) or answered (1), where there is an example."""
        return EXAMPLES.get(self._key, (None, None))[which]

    def _answers(self) -> dict[int, Shape | None]:
        return by_status(self.view.gives[self.method])

    def _answer(self, status: int, shape: Shape | None) -> dict:
        answer = {"description": (self.view.__doc__ or "").split("\n")[0] or "Done."}
        if shape is None:
            return answer
        forms = shape.by_type if isinstance(shape, Forms) else {getattr(shape, "media_type", "application/json"): shape}
        content = {media_type: {"schema": self._schema(form, "response")} for media_type, form in forms.items()}
        if (example := self._example(1)) is not None and "application/json" in content:
            content["application/json"]["example"] = example
        return {**answer, "content": content}

    def _registered(self, name: str, schema: dict) -> dict:
        component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)
        self.registry.register_on_missing(component)
        return component.ref

    def _schema(self, shape: Shape, direction: str) -> dict:
        if isinstance(shape, type) and issubclass(shape, BaseSerializer):
            return self.resolve_serializer(shape, direction).ref
        if isinstance(shape, Text):
            return {"type": "string"}
        if isinstance(shape, Page):
            rows = build_array_type(self._schema(shape.of, direction))
            whole = {"count": {"type": "integer"}, "next": URL, "previous": URL, "results": rows}
            return build_object_type(properties=whole, required=["count", "next", "previous", "results"])
        if isinstance(shape, Also):
            return {"allOf": [self._schema(shape.shape, direction), self._schema(shape.more, direction)]}
        if isinstance(shape, list):
            return build_array_type(self._schema(shape[0], direction))
        if isinstance(shape, dict):
            properties = {name: self._schema(each, direction) for name, each in shape.items()}
            return build_object_type(properties=properties, required=list(properties))
        return self._schema_of_type(shape, direction)

    def _schema_of_type(self, hint: typing.Any, direction: str) -> dict:
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        if hint in SCALARS:
            return dict(SCALARS[hint])
        if is_dataclass(hint):
            hints = typing.get_type_hints(hint)
            return self._schema({field.name: hints[field.name] for field in fields(hint)}, direction)
        if origin in (list, tuple):
            return build_array_type(self._schema(parts[0], direction))
        if origin is dict:
            return {"type": "object", "additionalProperties": self._schema(parts[1], direction)}
        if origin in (typing.Union, types.UnionType):
            kinds = [self._schema(part, direction) for part in parts if part is not NULL]
            whole = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
            return {**whole, "nullable": True} if NULL in parts else whole
        return {}


class StrictBodies(OpenApiSerializerExtension):
    """Bodies that refuse unknown fields say so; what a client may echo is named."""

    target_class, match_subclasses = Strict, True

    def map_serializer(self, auto_schema, direction):
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        echoed = {name: {} for name in self.target.ignored}
        properties = {**echoed, **schema.get("properties", {})}
        return {**schema, "properties": properties, "additionalProperties": False}


def _field(target: type, schema: dict) -> None:
    """`target`, a field of our own, is described as `schema`."""
    names = {"target_class": target, "map_serializer_field": lambda self, auto_schema, direction: dict(schema)}
    type(target.__name__ + "Described", (OpenApiSerializerFieldExtension,), names)


_field(Section, {"type": "object", "additionalProperties": {}})
_field(ProcfileField, {"type": "object", "additionalProperties": {"type": "string"}})
_field(AppJsonField, {"type": "object", "additionalProperties": {}})
_field(ShareField, {"anyOf": [{"type": "integer"}, {"type": "string"}]})


class Document(SchemaGenerator):
    def get_schema(self, request=None, public=False):
        schema = super().get_schema(request, public)
        schema["components"]["securitySchemes"] = SECURITY
        schema["tags"] = [{"name": section.name, "description": section.about} for section in catalogue.SECTIONS]
        for operation in (each for path in schema["paths"].values() for each in path.values()):
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["description"] = catalogue.PARAMETERS.get(parameter["name"], "")
        return schema


@cache
def document() -> dict:
    """The whole of it, without the servers it is served by."""
    return Document(api_version=API_VERSION).get_schema(public=True)


@cache
def as_json() -> bytes:
    return json.dumps(document(), indent=1).encode()


@cache
def as_yaml() -> bytes:
    import yaml

    return yaml.safe_dump(json.loads(as_json()), sort_keys=False, allow_unicode=True).encode()


def undescribed() -> list[str]:
    """Methods of views that don't say what they give: `View.method`."""
    from controller.api.urls import urlpatterns

    found = []
    for route in urlpatterns:
        view = route.callback.view_class
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method) and method.upper() not in view.gives:
                found.append(f"{view.__name__}.{method}")
    return sorted(set(found))
