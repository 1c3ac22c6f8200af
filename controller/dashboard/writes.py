"""The forms' targets: each reads its form, passes the door, and calls one action.

Deploys and scales are begun here and carried out by a worker: the page that follows shows how far they are.
"""

from __future__ import annotations

from django.http import HttpRequest

from controller.access import CONFIGURE, DEVELOP, OPERATE, REMOVE, app_for
from controller.actions.app import create_app, scale_app
from controller.actions.config import change_config
from controller.actions.domains import add_domain, remove_domain
from controller.actions.keys import add_key, remove_key
from controller.actions.processes import restart as restart_processes
from controller.actions.release import roll_back
from controller.dashboard import forms, views
from controller.dashboard.edge import Next, write


@write(views.show_apps)
def create(request: HttpRequest) -> Next:
    fields = forms.read(forms.NewApp, request)
    app = create_app(by=request.user, name=fields["name"] or None)
    return ("dashboard:app", app.name), f"{app.name} is made. Push code to it and it runs."


@write(views.show_processes)
def scale(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, DEVELOP)
    fields = forms.read(forms.Formation, request)
    operation = scale_app(app=found, counts={fields["type"]: fields["count"]}, by=request.user)
    return ("dashboard:app", app), "" if operation else "It already is so."


@write(views.show_processes)
def restart(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, DEVELOP)
    kind = forms.read(forms.Restart, request)["type"] or None
    fresh = restart_processes(app=found, kind=kind, name=None, by=request.user)
    count = len(fresh)
    text = f"Restarted {count} process{'es' if count != 1 else ''}." if count else "There was nothing to restart."
    return ("dashboard:app", app), text


@write(views.show_releases)
def rollback(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, DEVELOP)
    fields = forms.read(forms.Rollback, request)
    version, only = fields["version"], fields["only"]
    release, operation = roll_back(app=found, version=version, by=request.user, only=only)
    ending = "is on its way" if operation else "is made"
    return ("dashboard:releases", app), f"v{release.version}, with {only or 'code and config'} of v{version}, {ending}."


@write(views.show_config)
def config_set(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    fields = forms.read(forms.Variable, request)
    changes = {"values": {fields["key"]: fields["value"]}}
    secrets = [fields["key"]] if fields["secret"] else []
    _, operation = change_config(app=found, changes=changes, secrets=secrets, by=request.user)
    return ("dashboard:config", app), said_of_config(f"{fields['key']} is set", operation)


@write(views.show_config)
def config_unset(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    key = forms.read(forms.VariableName, request)["key"]
    _, operation = change_config(app=found, changes={"values": {key: None}}, by=request.user)
    return ("dashboard:config", app), said_of_config(f"{key} is removed", operation)


def said_of_config(text: str, operation: object) -> str:
    return f"{text}; the release with it is on its way." if operation else f"{text}, for when there is a build."


@write(views.show_domains)
def domain_add(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    domain = add_domain(app=found, text=forms.read(forms.DomainName, request)["domain"], by=request.user)
    return ("dashboard:domains", app), f"{app} answers under {domain.domain}."


@write(views.show_domains)
def domain_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, REMOVE)
    name = forms.read(forms.DomainName, request)["domain"]
    remove_domain(app=found, text=name)
    return ("dashboard:domains", app), f"{app} no longer answers under {name}."


@write(views.show_keys)
def key_add(request: HttpRequest) -> Next:
    fields = forms.read(forms.PublicKey, request)
    key = add_key(owner=request.user, name=fields["name"], public=fields["public"])
    return ("dashboard:keys",), f"{key.name} is added; pushes with it are yours."


@write(views.show_keys)
def key_remove(request: HttpRequest) -> Next:
    name = forms.read(forms.KeyName, request)["name"]
    remove_key(owner=request.user, name=name)
    return ("dashboard:keys",), f"{name} is removed."
