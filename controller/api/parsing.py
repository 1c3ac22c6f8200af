"""Request bodies: JSON of bounded depth, an empty one counts as `{}`; answers are always JSON."""

import json

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

DEPTH = 32  # levels of nesting; the deepest real body (healthchecks with headers) has six


class JSON(BaseParser):
    """JSON, whatever the content type says when it says nothing of forms."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        raw = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if not raw.strip():
            return {}
        try:
            text = raw.decode("utf-8")
            refuse_depth(text)
            return json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise ParseError(f"JSON parse error - {exc}") from exc


def _refuse_constant(name: str):
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def refuse_depth(text: str) -> None:
    """Raises: ValueError when brackets nest deeper than DEPTH, whatever strings hold."""
    depth = deepest = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = (character != '"' or escaped), (character == "\\" and not escaped)
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    if deepest > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH} levels")


class AlwaysJSON(BaseContentNegotiation):
    """Picks the body's parser by its type, and answers JSON whatever the Accept header says."""

    def select_parser(self, request, parsers):
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), parsers[0])

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
