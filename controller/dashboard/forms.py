"""What people type into the pages, checked before any action sees it."""

from __future__ import annotations

import re
from typing import TypeVar

from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpRequest

from controller.actions.autoscale import LARGEST, TARGETS
from controller.actions.release import CODE, CONFIG
from controller.config_fields import ENV_KEY, TYPE, Refused, check_value
from controller.cron import POLICIES
from controller.errors import Invalid
from controller.models.notice import EVENTS
from controller.models.roles import ROLES
from controller.models.token import SCOPES

APP_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
GROUP_NAME = re.compile(r"[a-z][a-z0-9-]*")
STAGE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
STAGE_TEXT = "Names of pipelines and stages have lowercase letters, digits and, in between, hyphens."
MOST_STAGES = 20  # of one pipeline
MOST_PROCESSES = 1000  # of one type; a slip of the finger, above


Form = TypeVar("Form", bound=forms.Form)


def matching(pattern: re.Pattern[str], text: str):
    def check(value: str) -> None:
        if not pattern.fullmatch(value):
            raise forms.ValidationError(text)

    return check


class NewApp(forms.Form):
    name = forms.CharField(
        required=False,
        max_length=63,
        validators=[
            matching(
                APP_NAME,
                "An app's name has lowercase letters, digits and hyphens, begins with a letter, ends with none.",
            )
        ],
    )


class Formation(forms.Form):
    type = forms.CharField(max_length=63, validators=[matching(TYPE, "That is no process type.")])
    count = forms.IntegerField(
        min_value=0,
        max_value=MOST_PROCESSES,
        error_messages={"invalid": "The number of processes is a whole number."},
    )


class Restart(forms.Form):
    type = forms.CharField(required=False, max_length=63, validators=[matching(TYPE, "That is no process type.")])


class Rollback(forms.Form):
    version = forms.IntegerField(min_value=1)
    only = forms.ChoiceField(choices=(("", "both"), (CODE, CODE), (CONFIG, CONFIG)), required=False)


class Variable(forms.Form):
    key = forms.CharField(
        max_length=255,
        validators=[matching(ENV_KEY, "A variable's name has letters, digits and _, and begins with no digit.")],
    )
    value = forms.CharField(required=False, strip=False)
    secret = forms.BooleanField(required=False)

    def clean(self) -> dict:
        cleaned = super().clean()
        try:
            if "key" in cleaned and "value" in cleaned:
                check_value(cleaned["key"], cleaned["value"])
        except Refused as exc:
            self.add_error("value", str(exc))
        return cleaned

    def clean_value(self) -> str:
        """Browsers send line ends as CR LF; programs expect LF."""
        return self.cleaned_data["value"].replace("\r\n", "\n")


class VariableName(forms.Form):
    key = forms.CharField(max_length=255)


class DomainName(forms.Form):
    domain = forms.CharField(max_length=253, error_messages={"required": "Which name? Write it as www.example.com."})


class Role(forms.Form):
    username = forms.CharField(max_length=150)
    role = forms.ChoiceField(choices=[(role, "") for role in ROLES])


class RoleTaken(forms.Form):
    username = forms.CharField(required=False, max_length=150)
    team = forms.CharField(required=False, max_length=63)


class Password(forms.Form):
    password = forms.CharField(required=False, max_length=1024, strip=False)


class NewPassword(Password):
    new_password = forms.CharField(max_length=1024, strip=False)


class Joining(forms.Form):
    username = forms.CharField(max_length=150, validators=[UnicodeUsernameValidator()])
    password = forms.CharField(max_length=1024, strip=False)


class MailAddress(forms.Form):
    email = forms.EmailField(max_length=254, required=False)


class Code(forms.Form):
    code = forms.CharField(max_length=32)


class NewTeam(forms.Form):
    name = forms.CharField(
        max_length=63,
        validators=[
            matching(GROUP_NAME, "A team's name has lowercase letters, digits and hyphens, and begins with a letter.")
        ],
    )


class NewMember(forms.Form):
    username = forms.CharField(max_length=150)
    manager = forms.BooleanField(required=False)


class Username(forms.Form):
    username = forms.CharField(max_length=150)


class NewInvitation(forms.Form):
    email = forms.EmailField(required=False, max_length=254)
    team = forms.CharField(required=False, max_length=63)
    app = forms.CharField(required=False, max_length=63)
    role = forms.ChoiceField(choices=[("", ""), *((role, "") for role in ROLES)], required=False)
    days = forms.IntegerField(min_value=1, max_value=90)


class Number(forms.Form):
    number = forms.IntegerField(min_value=1)


class NewGroup(forms.Form):
    name = forms.CharField(
        max_length=63,
        validators=[
            matching(GROUP_NAME, "A group's name has lowercase letters, digits and hyphens, and begins with a letter.")
        ],
    )
    team = forms.CharField(required=False, max_length=63)


class GroupName(forms.Form):
    group = forms.CharField(max_length=63)


class NewLink(forms.Form):
    key = forms.CharField(
        max_length=253,
        validators=[matching(ENV_KEY, "A variable's name has letters, digits and _, and begins with no digit.")],
    )
    source = forms.CharField(max_length=63)
    source_key = forms.CharField(required=False, max_length=253)


class NewWebhook(forms.Form):
    url = forms.CharField(max_length=2000)
    events = forms.MultipleChoiceField(choices=[(event, "") for event in EVENTS], required=False)


class NewCronEntry(forms.Form):
    name = forms.CharField(required=False, max_length=30)
    command = forms.CharField(max_length=10_000)
    schedule = forms.CharField(max_length=100)
    timezone = forms.CharField(required=False, max_length=64)
    policy = forms.ChoiceField(choices=[(policy, "") for policy in POLICIES])


class AutoscaleRule(forms.Form):
    type = forms.CharField(max_length=63, validators=[matching(TYPE, "That is no process type.")])
    min = forms.IntegerField(min_value=1, max_value=LARGEST)
    max = forms.IntegerField(min_value=1, max_value=LARGEST)
    by = forms.ChoiceField(choices=[(target, "") for target in TARGETS])
    target = forms.IntegerField(min_value=1, max_value=LARGEST)


class ProcessType(forms.Form):
    type = forms.CharField(max_length=63)


class Drain(forms.Form):
    url = forms.CharField(max_length=2000)


class DrainName(forms.Form):
    drain = forms.CharField(max_length=36)


class Retention(forms.Form):
    days = forms.IntegerField(required=False, min_value=1, max_value=3650)
    megabytes = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)


class NewPipeline(forms.Form):
    name = forms.CharField(max_length=63, validators=[matching(STAGE, STAGE_TEXT)])
    stages = forms.CharField(required=False, max_length=1300)

    def clean_stages(self) -> list[str] | None:
        """Names in order, however they are parted."""
        stages = [name for name in re.split(r"[\s,→>]+", self.cleaned_data["stages"]) if name]
        if any(len(name) > 63 or not STAGE.fullmatch(name) for name in stages):
            raise forms.ValidationError(STAGE_TEXT)
        if len(stages) > MOST_STAGES:
            raise forms.ValidationError(f"A pipeline has at most {MOST_STAGES} stages.")
        return stages or None


class NewPlace(forms.Form):
    app = forms.CharField(max_length=63)
    stage = forms.CharField(max_length=63)


class AppName(forms.Form):
    app = forms.CharField(max_length=63)


class Promotion(forms.Form):
    version = forms.IntegerField(min_value=1)
    to = forms.CharField(max_length=20 * 64)

    def clean_to(self) -> list[str]:
        return self.cleaned_data["to"].split()


class NewToken(forms.Form):
    name = forms.CharField(
        max_length=100,
        validators=[matching(re.compile(r"[\w.@+:-]+"), "A token's name has letters, digits and . @ + : - _.")],
    )
    scope = forms.MultipleChoiceField(choices=[(scope, "") for scope in SCOPES])
    app = forms.CharField(required=False, max_length=63)
    days = forms.IntegerField(required=False, min_value=1, max_value=3650)


class TokenName(forms.Form):
    name = forms.CharField(max_length=100)


class Switch(forms.Form):
    on = forms.ChoiceField(choices=[("true", ""), ("false", "")])


class Confirmation(forms.Form):
    confirm = forms.CharField(required=False, max_length=63)


class PublicKey(forms.Form):
    name = forms.CharField(max_length=128)
    public = forms.CharField(max_length=16_384)

    def clean_public(self) -> str:
        text = " ".join(self.cleaned_data["public"].split())
        if "PRIVATE KEY" in text:
            raise forms.ValidationError("That is a private key: keep it, and paste the .pub file beside it.")
        if not text.startswith(("ssh-", "ecdsa-", "sk-")) or len(text.split()) < 2:
            raise forms.ValidationError("A public key is one line that begins with a type such as ssh-ed25519.")
        return text


class KeyName(forms.Form):
    name = forms.CharField(max_length=128)


def read(form_type: type[forms.Form], request: HttpRequest) -> dict:
    """The checked fields of the request's form. Raises: Invalid with every complaint, by field."""
    return valid(form_type, request).cleaned_data


def valid(form_type: type[Form], request: HttpRequest) -> Form:
    """The request's form, checked. Raises: Invalid."""
    form = form_type(request.POST)
    if form.is_valid():
        return form
    complaints = {
        field: [f"{field}: {text}" if text == "This field is required." else text for text in texts]
        for field, texts in form.errors.items()
    }
    raise Invalid(**complaints)
