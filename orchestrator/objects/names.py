"""What names, labels and paths may look like, with Kubernetes' own sentences for what is wrong.

Source: apimachinery pkg/util/validation/validation.go. Every function returns the problems, none when it is fine.
"""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_PORT_NAME = re.compile(r"[-a-z0-9]+")
_WILDCARD = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_LABEL_1123_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_CONFIG_KEY_TEXT = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
_ENV_NAME_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)


def _regex_text(text: str, pattern: re.Pattern[str], *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern.pattern}')"


_LABEL_1123 = _regex_text(_LABEL_1123_TEXT, _LABEL, "my-name", "123-abc")
_LABEL_1035_ERROR = _regex_text(_LABEL_1035_TEXT, _LABEL_1035, "my-name", "abc-123")
_SUBDOMAIN_ERROR = _regex_text(_SUBDOMAIN_TEXT, _SUBDOMAIN, "example.com")
_QUALIFIED_ERROR = _regex_text(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
_LABEL_VALUE_ERROR = _regex_text(_LABEL_VALUE_TEXT, _LABEL_VALUE, "MyValue", "my_value", "12345")
_CONFIG_KEY_ERROR = _regex_text(_CONFIG_KEY_TEXT, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name")
_WILDCARD_ERROR = _regex_text(_WILDCARD_TEXT, _WILDCARD, "*.example.com")


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def dns_label_problems(value: str) -> list[str]:
    if len(value) <= 63 and _LABEL.fullmatch(value):
        return []
    return ([_too_long(63)] if len(value) > 63 else []) + ([] if _LABEL.fullmatch(value) else [_LABEL_1123])


def dns_1035_label_problems(value: str) -> list[str]:
    if len(value) <= 63 and _LABEL_1035.fullmatch(value):
        return []
    problems = [_too_long(63)] if len(value) > 63 else []
    return problems + ([] if _LABEL_1035.fullmatch(value) else [_LABEL_1035_ERROR])


def dns_subdomain_problems(value: str) -> list[str]:
    if len(value) <= 253 and _SUBDOMAIN.fullmatch(value):
        return []
    return ([_too_long(253)] if len(value) > 253 else []) + ([] if _SUBDOMAIN.fullmatch(value) else [_SUBDOMAIN_ERROR])


def wildcard_subdomain_problems(value: str) -> list[str]:
    problems = [_too_long(253)] if len(value) > 253 else []
    return problems + ([] if _WILDCARD.fullmatch(value) else [_WILDCARD_ERROR])


def path_segment_problems(value: str) -> list[str]:
    """For RBAC and other names that only have to fit into a URL."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def qualified_name_problems(value: str) -> list[str]:
    """For label and annotation keys: `name` or `prefix/name`."""
    prefix, slash, name = value.rpartition("/")
    problems: list[str] = []
    if "/" in prefix:
        return [f"a qualified name {_QUALIFIED_ERROR} with an optional DNS subdomain prefix and '/' "
                "(e.g. 'example.com/MyName')"]  # fmt: skip
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif prefix:
        problems += [f"prefix part {problem}" for problem in dns_subdomain_problems(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append(f"name part {_too_long(63)}")
    if not _QUALIFIED.fullmatch(name):
        problems.append(f"name part {_QUALIFIED_ERROR}")
    return problems


def label_value_problems(value: str) -> list[str]:
    problems = [_too_long(63)] if len(value) > 63 else []
    return problems + ([] if _LABEL_VALUE.fullmatch(value) else [_LABEL_VALUE_ERROR])


def config_key_problems(value: str) -> list[str]:
    problems = [_too_long(253)] if len(value) > 253 else []
    if not _CONFIG_KEY.fullmatch(value):
        return [*problems, _CONFIG_KEY_ERROR]
    if value == ".":
        problems.append("must not be '.'")
    elif value.startswith(".."):
        problems.append("must not be '..'" if value == ".." else "must not start with '..'")
    return problems


def env_name_problems(value: str) -> list[str]:
    fine = bool(value) and all(" " <= char <= "~" and char != "=" for char in value)
    return [] if fine else [_ENV_NAME_TEXT]


def port_name_problems(value: str) -> list[str]:
    """For container port names (IANA service names)."""
    problems = ["must be no more than 15 characters"] if len(value) > 15 else []
    if not _PORT_NAME.fullmatch(value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    if "--" in value:
        problems.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems
