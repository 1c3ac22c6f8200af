"""The dashboard's addresses, at the root of the controller."""

from django.urls import path, re_path
from django.views.generic import RedirectView

from controller.dashboard import account, people, release_pages, sessions, sign_on, streams, views, writes

app_name = "dashboard"
urlpatterns = [
    path("", views.apps, name="apps"),
    path("live/", views.apps_live, name="apps-live"),
    path("login/", sessions.sign_in, name="login"),
    path("login/oidc/", sign_on.begin, name="sign-on"),
    path("login/oidc/callback/", sign_on.come_back, name="sign-on-back"),
    path("login/cli/", sign_on.command_line, name="command-line"),
    path("logout/", sessions.sign_out, name="logout"),
    path("join/", account.join, name="join"),
    path("account/", account.account, name="account"),
    path("account/password/", account.password, name="password"),
    path("account/two-factor/begin/", account.factor_begin, name="factor-begin"),
    path("account/two-factor/confirm/", account.factor_confirm, name="factor-confirm"),
    path("account/two-factor/off/", account.factor_off, name="factor-off"),
    path("account/tokens/add/", account.token_add, name="token-add"),
    path("account/tokens/revoke/", account.token_revoke, name="token-revoke"),
    path("account/mail/", account.mail, name="mail"),
    path("keys/", views.keys, name="keys"),
    path("keys/add/", writes.key_add, name="key-add"),
    path("keys/remove/", writes.key_remove, name="key-remove"),
    path("apps/", writes.create, name="create"),
    path("apps/<slug:app>/", views.processes, name="app"),
    path("apps/<slug:app>/live/head/", views.head_live, name="head-live"),
    path("apps/<slug:app>/live/processes/", views.processes_live, name="processes-live"),
    path("apps/<slug:app>/live/releases/", views.releases_live, name="releases-live"),
    path("apps/<slug:app>/scale/", writes.scale, name="scale"),
    path("apps/<slug:app>/restart/", writes.restart, name="restart"),
    path("apps/<slug:app>/releases/", views.releases, name="releases"),
    path("apps/<slug:app>/releases/rollback/", writes.rollback, name="rollback"),
    path("apps/<slug:app>/releases/cancel/", release_pages.cancel, name="cancel"),
    path("apps/<slug:app>/releases/v<int:version>/", release_pages.release, name="release"),
    path("apps/<slug:app>/explain/", release_pages.explain, name="explain"),
    path("apps/<slug:app>/config/", views.config, name="config"),
    path("apps/<slug:app>/config/set/", writes.config_set, name="config-set"),
    path("apps/<slug:app>/config/unset/", writes.config_unset, name="config-unset"),
    path("apps/<slug:app>/config/values/<str:key>/", views.config_value, name="config-value"),
    path("apps/<slug:app>/domains/", views.domains, name="domains"),
    path("apps/<slug:app>/domains/add/", writes.domain_add, name="domain-add"),
    path("apps/<slug:app>/domains/remove/", writes.domain_remove, name="domain-remove"),
    path("apps/<slug:app>/logs/", views.logs, name="logs"),
    path("apps/<slug:app>/logs/stream/", streams.logs_stream, name="logs-stream"),
    path("apps/<slug:app>/access/", people.access, name="access"),
    path("apps/<slug:app>/access/give/", people.access_give, name="access-give"),
    path("apps/<slug:app>/access/take/", people.access_take, name="access-take"),
    path("apps/<slug:app>/activity/", people.activity, name="activity"),
    path("apps/<slug:app>/settings/", views.app_settings, name="settings"),
    path("apps/<slug:app>/settings/maintenance/", writes.maintenance, name="maintenance"),
    path("apps/<slug:app>/settings/destroy/", writes.destroy, name="destroy"),
    # Typed by hand, without the slash at the end.
    re_path(r"^(?P<place>login|keys|account|apps/[a-z0-9-]+)$", RedirectView.as_view(url="/%(place)s/")),
]
