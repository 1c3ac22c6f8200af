"""What people type into an app's settings and beside certificates, as far as a form can say what is wrong with it.

What a value may hold is said once, where the API has it too: `controller.config_fields`, `controller.cluster.rules`
and the actions.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from django import forms

from controller.actions.build_settings import MOST_PATHS
from controller.actions.certificates import LONGEST_KEY, LONGEST_NAME, LONGEST_PEM
from controller.cluster.rules import BOUNDS, share_of
from controller.config_fields import ACTIONS, LARGEST_NUMBER, PROBE_NUMBERS, PROBES

MOST_ADDRESSES = 1000  # of one form, as of one request to the API


class Addresses(forms.Form):
    addresses = forms.CharField(max_length=64 * MOST_ADDRESSES)

    def clean_addresses(self) -> list[str]:
        """However they are parted."""
        found = [text for text in re.split(r"[\s,;]+", self.cleaned_data["addresses"]) if text]
        if len(found) > MOST_ADDRESSES:
            raise forms.ValidationError(f"At most {MOST_ADDRESSES} addresses at once.")
        return found


class Path(forms.Form):
    type = forms.CharField(max_length=63)
    patterns = forms.CharField(max_length=4096)


class Label(forms.Form):
    key = forms.CharField(max_length=253)
    value = forms.CharField(required=False, max_length=4096)


class Key(forms.Form):
    key = forms.CharField(max_length=400)


class NewOwner(forms.Form):
    owner = forms.CharField(max_length=150)


class Limits(forms.Form):
    """Of one process type; empty: the platform's default."""

    memory = forms.CharField(required=False, max_length=100)
    cpu = forms.CharField(required=False, max_length=100)
    termination_grace_period = forms.CharField(required=False, max_length=10)


class Probe(forms.Form):
    """One probe of one process type, as its section of the config has it."""

    type = forms.CharField(max_length=63)
    probe = forms.ChoiceField(choices=[(name, "") for name in PROBES])
    action = forms.ChoiceField(choices=[(name, "") for name in ACTIONS])
    path = forms.CharField(required=False, max_length=2000)
    port = forms.IntegerField(required=False, min_value=1, max_value=65535)
    headers = forms.CharField(required=False, max_length=8000)
    command = forms.CharField(required=False, max_length=8000)
    initialDelaySeconds = forms.IntegerField(min_value=0, max_value=LARGEST_NUMBER)
    timeoutSeconds = forms.IntegerField(min_value=1, max_value=LARGEST_NUMBER)
    periodSeconds = forms.IntegerField(min_value=1, max_value=LARGEST_NUMBER)
    successThreshold = forms.IntegerField(min_value=1, max_value=LARGEST_NUMBER)
    failureThreshold = forms.IntegerField(min_value=1, max_value=LARGEST_NUMBER)

    def clean_headers(self) -> list[dict[str, str]]:
        found = []
        for line in self.cleaned_data["headers"].splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                raise forms.ValidationError("One header a line, as Name: value.")
            if line.strip():
                found.append({"name": name.strip(), "value": value.strip()})
        return found

    def clean_command(self) -> list[str]:
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError as exc:
            raise forms.ValidationError("The command's quotes don't pair up.") from exc

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        action = cleaned.get("action")
        if action in ("httpGet", "tcpSocket") and not cleaned.get("port") and "port" not in self.errors:
            self.add_error("port", "Which port? The one that the process listens on.")
        if action == "exec" and not cleaned.get("command") and "command" not in self.errors:
            self.add_error("command", "Which command? It counts as well when it ends with 0.")
        if cleaned.get("probe") == "livenessProbe" and cleaned.get("successThreshold", 1) != 1:
            self.add_error("successThreshold", "Of a liveness check one success is always enough: 1.")
        return cleaned

    def body(self) -> dict[str, Any]:
        """The probe as the API takes it."""
        fields = self.cleaned_data
        body: dict[str, Any] = {name: fields[name] for name in PROBE_NUMBERS}
        if fields["action"] == "exec":
            return body | {"exec": {"command": fields["command"]}}
        if fields["action"] == "tcpSocket":
            return body | {"tcpSocket": {"port": fields["port"]}}
        action = {"path": fields["path"] or "/", "port": fields["port"]}
        return body | {"httpGet": action | ({"httpHeaders": fields["headers"]} if fields["headers"] else {})}


class ProbeName(forms.Form):
    type = forms.CharField(max_length=63)
    probe = forms.ChoiceField(choices=[(name, "") for name in PROBES])


class HookName(forms.Form):
    type = forms.CharField(max_length=63)
    hook = forms.ChoiceField(choices=[(name, "") for name in ("lifecycle_post_start", "lifecycle_pre_stop")])


class Hook(HookName):
    command = forms.CharField(max_length=8000)


class ShareField(forms.CharField):
    """A number of processes or a part of them; empty is None."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return share_of(text) if text else None
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from exc


def rule(name: str) -> forms.IntegerField:
    least, most = BOUNDS[name]
    return forms.IntegerField(required=False, min_value=least, max_value=most)


class Rules(forms.Form):
    """How releases go live; empty: the default."""

    surge = ShareField(required=False, max_length=10)
    unavailable = ShareField(required=False, max_length=10)
    timeout = rule("timeout")
    release_timeout = rule("release_timeout")
    watch = rule("watch")
    errors = rule("errors")
    rollback = forms.TypedChoiceField(
        required=False,
        empty_value=None,
        choices=(("", "default"), ("true", "yes"), ("false", "no")),
        coerce=lambda text: text == "true",
    )


class Connection(forms.Form):
    url = forms.CharField(max_length=1024)
    branch = forms.CharField(required=False, max_length=255)


class Source(forms.Form):
    root = forms.CharField(required=False, max_length=1000)
    paths = forms.CharField(required=False, max_length=1001 * MOST_PATHS)
    submodules = forms.BooleanField(required=False)

    def clean_paths(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["paths"].splitlines() if line.strip()]


class Ref(forms.Form):
    ref = forms.CharField(required=False, max_length=255)


class Image(forms.Form):
    image = forms.CharField(max_length=2048)


class Registry(forms.Form):
    username = forms.CharField(max_length=255)
    password = forms.CharField(required=False, max_length=8192, strip=False)


class NewCertificate(forms.Form):
    name = forms.CharField(max_length=LONGEST_NAME)
    certificate = forms.CharField(max_length=LONGEST_PEM)
    key = forms.CharField(max_length=LONGEST_KEY)


class CertifiedDomain(forms.Form):
    domain = forms.CharField(max_length=253)
