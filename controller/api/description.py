"""`/v2/schema`: what this API is, as OpenAPI; `/v2/docs`: a page to read it."""

from django.http import HttpResponse
from django.templatetags.static import static
from rest_framework.permissions import AllowAny

from controller.api.scoping import View
from controller.api.shapes import Forms, Text

YAML = "application/yaml"
SWAGGER = "drf_spectacular_sidecar/swagger-ui-dist/"
POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The API</title>
<link rel="stylesheet" href="{style}">
<body>
<div id="api"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
"""


class OpenView(View):
    authentication_classes = ()
    permission_classes = (AllowAny,)


class SchemaView(OpenView):
    """This document. Nothing in it is secret."""

    asks = {"GET": {"format": "json (the default) or yaml"}}
    gives = {"GET": Forms(json=dict[str, object], yaml=Text("application/yaml"))}

    def get(self, request):
        from controller.api import openapi  # takes memory, and most never ask

        if request.query_params.get("format") == "yaml" or "yaml" in request.headers.get("Accept", ""):
            return HttpResponse(openapi.as_yaml(), content_type=YAML)
        return HttpResponse(openapi.as_json(), content_type="application/json")


class DocsView(OpenView):
    """This document as a page."""

    gives = {"GET": Text("text/html")}

    def get(self, request):
        page = PAGE.format(
            style=static(SWAGGER + "swagger-ui.css"),
            bundle=static(SWAGGER + "swagger-ui-bundle.js"),
            start=static("api/docs.js"),
        )
        return HttpResponse(page, headers={"Content-Security-Policy": POLICY})
