"""Links of what is proxied, so that a page served below `…/proxy/` keeps leading there.

Source: kubernetes staging/src/k8s.io/apimachinery/pkg/util/proxy/transport.go (which attributes, which addresses).
"""

from __future__ import annotations

import functools
import html
import posixpath
import re
from collections.abc import Collection
from html.parser import HTMLParser
from urllib.parse import urlsplit, urlunsplit

_ATTRIBUTES = {
    "a": ("href",), "applet": ("codebase",), "area": ("href",), "audio": ("src",), "base": ("href",),
    "blockquote": ("cite",), "body": ("background",), "button": ("formaction",), "command": ("icon",),
    "del": ("cite",), "embed": ("src",), "form": ("action",), "frame": ("longdesc", "src"), "head": ("profile",),
    "html": ("manifest",), "iframe": ("longdesc", "src"), "img": ("longdesc", "src", "usemap"),
    "input": ("src", "usemap", "formaction"), "ins": ("cite",), "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"), "q": ("cite",), "script": ("src",), "source": ("src",),
    "video": ("poster", "src"),
}  # fmt: skip
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'=<>`]+)""")


def moved_url(url: str, prefix: str, hosts: Collection[str]) -> str:
    """`url` below `prefix` when it is absolute on one of `hosts` (`name:port`), or names no host; else as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.netloc and parts.netloc not in hosts or not parts.path.startswith("/"):
        return url
    path = parts.path
    if not path.startswith(prefix):
        path = posixpath.normpath(prefix + path) + ("/" if path.endswith("/") else "")
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def moved_page(text: str, prefix: str, hosts: Collection[str]) -> str:
    """An HTML page with the links of its tags moved; all else to the letter, scripts and comments included."""
    tags = _Tags()
    tags.feed(text)
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    pieces, done = [], 0
    for (line_number, column), name, raw in tags.found:
        at = starts[line_number - 1] + column
        if at < done or not text.startswith(raw, at):
            continue
        moved = functools.partial(_moved, tag=name, prefix=prefix, hosts=hosts)
        pieces += [text[done:at], _ATTRIBUTE.sub(moved, raw)]
        done = at + len(raw)
    return "".join((*pieces, text[done:]))


def _moved(match: re.Match[str], tag: str, prefix: str, hosts: Collection[str]) -> str:
    name, equals, value = match.groups()
    if name.lower() not in _ATTRIBUTES[tag]:
        return match.group()
    quote = value[0] if value[0] in "\"'" else ""
    url = html.unescape(value[1:-1] if quote else value)
    moved = moved_url(url, prefix, hosts)
    return match.group() if moved == url else f'{name}{equals}"{html.escape(moved)}"'


class _Tags(HTMLParser):
    """Where the tags that may have links stand."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[tuple[int, int], str, str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        raw = self.get_starttag_text()
        if tag in _ATTRIBUTES and raw:
            self.found.append((self.getpos(), tag, raw))
