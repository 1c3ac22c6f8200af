"""What the sections of a config may hold, key by key: one check for the API and the dashboard. Pure.

A check gives the value to keep; None stays None and removes the key. What doesn't hold raises `Refused`.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

from controller.errors import Invalid

TYPE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
TYPE_TEXT = "Process types can only contain lowercase alphanumeric characters"
ENV_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
ENV_TEXT = "Config keys must start with a letter or underscore and only contain [A-z0-9_]"
MEMORY = re.compile(r"(?ai)^(0|\d+([bkmg]|[kmg]b))(/(0|\d+([bkmg]|[kmg]b)))?$")
MEMORY_TEXT = "Memory limit format: <number><unit> or <number><unit>/<number><unit>, where unit = B, K, M or G"
CPU = re.compile(r"(?a)^(\d+\.?\d*|\.\d+)m?(/(\d+\.?\d*|\.\d+)m?)?$")
CPU_TEXT = "CPU limit format: <value> or <value>/<value>, where value must be a numeric"
TAG_PART = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")
PROBES = ("livenessProbe", "readinessProbe")
PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
ACTIONS = ("httpGet", "exec", "tcpSocket")
LONGEST_TYPE = 63
LARGEST_NUMBER = 2**31 - 1  # of a probe, as Kubernetes counts
LONGEST_KEY = 253  # characters of a key of a Secret
LONGEST_VALUE = 128 * 1024 - 1  # bytes of KEY=VALUE; Linux starts no program with a longer one

Check = Callable[[str, Any], Any]


class Refused(ValueError):
    """What is wrong with a key or its value, as a sentence."""


def refuse(text: str) -> NoReturn:
    raise Refused(text)


def text_of(key: str, value: Any) -> str | None:
    """A scalar as Python writes it; null stays. Raises: Refused."""
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float):
        text = str(value)
    else:
        refuse(f"{key} must be text, a number, true, false or null")
    if text is not None:
        refuse_unfit(key, text)
    return text


def refuse_unfit(key: str, text: str, room: int = LONGEST_VALUE) -> None:
    """Raises: Refused for what no process can be given."""
    if "\x00" in text:
        refuse(f"{key} may not hold NUL characters")
    if len(text.encode(errors="surrogatepass")) > room:
        refuse(f"{key} may have at most {room} bytes")


def check_value(key: str, value: Any) -> str | None:
    if not ENV_KEY.fullmatch(key):
        refuse(ENV_TEXT)
    if len(key) > LONGEST_KEY:
        refuse(f"Config keys have at most {LONGEST_KEY} characters")
    text = text_of(key, value)
    if text is None:
        return None
    refuse_unfit(key, text, LONGEST_VALUE - len(key) - 1)
    if key == "PORT":
        if not text.isascii() or not text.isdigit():
            refuse("PORT can only be a numeric value")
        if len(text) > 5 or not 1 <= int(text) <= 65535:
            refuse("PORT needs to be between 1 and 65535")
    if key == "HEALTHCHECK_URL" and (not text.startswith("/") or "//" in text or "?" in text or "#" in text):
        refuse("HEALTHCHECK_URL must be a path that starts with /, without host, query or fragment")
    if key.startswith("HEALTHCHECK_") and key != "HEALTHCHECK_URL" and not (text.isascii() and text.isdigit()):
        refuse(f"{key} can only be a numeric value")
    return text


def check_type(key: str) -> None:
    if not TYPE.fullmatch(key) or len(key) > LONGEST_TYPE:
        refuse(TYPE_TEXT)


def check_memory(key: str, value: Any) -> str | None:
    check_type(key)
    text = text_of(key, value)
    if text is not None and not MEMORY.fullmatch(text):
        refuse(MEMORY_TEXT)
    return text


def check_cpu(key: str, value: Any) -> str | None:
    check_type(key)
    text = text_of(key, value)
    if text is not None and not CPU.fullmatch(text):
        refuse(CPU_TEXT)
    return text


def check_grace(key: str, value: Any) -> str | None:
    check_type(key)
    text = text_of(key, value)
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 7):
        refuse("Timeout format: <value>, where value must be a number of seconds")
    return text


def check_hook(key: str, value: Any) -> str | None:
    check_type(key)
    return text_of(key, value)


def check_tag(key: str, value: Any) -> str | None:
    prefix, slash, name = key.rpartition("/")
    if not TAG_PART.fullmatch(name) or len(name) > 63:
        refuse("Tag keys can only contain alphanumeric characters, '-', '_' or '.', at most 63 of them")
    if slash and (len(prefix) > 253 or not all(TAG_PART.fullmatch(part) for part in prefix.split("."))):
        refuse("Tag key prefixes must be a domain of at most 253 characters")
    text = text_of(key, value)
    if text is not None and (not TAG_PART.fullmatch(text) or len(text) > 63):
        refuse("Tag values can only contain alphanumeric characters, '-', '_' or '.', at most 63 of them")
    return text


def check_label(key: str, value: Any) -> str | None:
    """Of an app's label: words for people, told to nobody else."""
    if not key.isprintable() or not 1 <= len(key) <= 253:
        refuse("Label keys have 1 to 253 characters, all of them printable")
    return text_of(key, value)


def check_registry(key: str, value: Any) -> str | None:
    if not ENV_KEY.fullmatch(key):
        refuse(ENV_TEXT)
    return text_of(key, value)


def check_health(key: str, value: Any) -> dict | None:
    """The probes of one process type."""
    if key != "web/cmd":
        check_type(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse("Healthchecks of a process type are an object of livenessProbe and readinessProbe")
    for name in value:
        if name not in PROBES:
            refuse("Healthcheck keys must be either livenessProbe or readinessProbe")
    return {name: check_probe(name, probe) for name, probe in value.items()}


def check_probe(name: str, probe: Any) -> dict | None:
    if probe is None:
        return None
    if not isinstance(probe, dict):
        refuse(f"{name} must be an object")
    probe = {key: value for key, value in probe.items() if value is not None}
    if unknown := sorted(probe.keys() - {*PROBE_NUMBERS, *ACTIONS}):
        refuse(f"{name} has an unknown key {unknown[0]}")
    actions = [action for action in ACTIONS if action in probe]
    if len(actions) != 1:
        refuse(f"{name} needs exactly one of httpGet, exec, tcpSocket")
    for number in PROBE_NUMBERS:
        if number in probe and (not isinstance(probe[number], int) or isinstance(probe[number], bool)):
            refuse(f"{name}: {number} must be an integer")
        least = 0 if number == "initialDelaySeconds" else 1
        if probe.get(number, 1) < least:
            refuse(f"{name}: {number} must be at least {least}")
        if probe.get(number, 1) > LARGEST_NUMBER:
            refuse(f"{name}: {number} may be at most {LARGEST_NUMBER}")
    if name == "livenessProbe" and probe.get("successThreshold", 1) != 1:
        refuse("livenessProbe successThreshold must be 1")
    checker = {"httpGet": check_http, "exec": check_exec, "tcpSocket": check_tcp}[actions[0]]
    checker(probe[actions[0]])
    return probe


def check_http(action: Any) -> None:
    if not isinstance(action, dict) or "port" not in action:
        refuse("httpGet needs a port")
    check_port(action["port"])
    if unknown := sorted(action.keys() - {"port", "path", "host", "scheme", "httpHeaders"}):
        refuse(f"httpGet has an unknown key {unknown[0]}")
    for field in ("path", "host", "scheme"):
        if not isinstance(action.get(field, ""), str):
            refuse(f"httpGet {field} must be text")
    if action.get("scheme", "HTTP") not in ("HTTP", "HTTPS"):
        refuse("httpGet scheme must be HTTP or HTTPS")
    headers = action.get("httpHeaders") or []
    well = isinstance(headers, list) and all(
        isinstance(h, dict) and set(h) == {"name", "value"} and all(isinstance(v, str) for v in h.values())
        for h in headers
    )
    if not well:
        refuse("httpGet httpHeaders must be a list of objects of name and value")


def check_exec(action: Any) -> None:
    command = action.get("command") if isinstance(action, dict) else None
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        refuse("exec needs a command, a list of words")


def check_tcp(action: Any) -> None:
    if not isinstance(action, dict) or "port" not in action:
        refuse("tcpSocket needs a port")
    check_port(action["port"])


def check_port(port: Any) -> None:
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        refuse("port must be an integer between 1 and 65535")


CHECKS: dict[str, Check] = {
    "values": check_value,
    "memory": check_memory,
    "cpu": check_cpu,
    "tags": check_tag,
    "registry": check_registry,
    "healthcheck": check_health,
    "termination_grace_period": check_grace,
    "lifecycle_post_start": check_hook,
    "lifecycle_pre_stop": check_hook,
    "label": check_label,  # of an app's settings
}


def checked(section: str, changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` of one section, as `change_config` takes them. Raises: Invalid naming the section."""
    try:
        return {kept_key(section, key): CHECKS[section](key, value) for key, value in changes.items()}
    except Refused as exc:
        raise Invalid(**{section: str(exc)}) from exc


def kept_key(section: str, key: str) -> str:
    """Names of registry settings are the same in capitals and without."""
    return key.lower() if section == "registry" else key
