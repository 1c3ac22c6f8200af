"""Settings of a running platform, from the environment (docs/architecture.md lists the variables)."""

import json
import os
from pathlib import Path

from controller.settings.base import *  # noqa: F403
from controller.settings.parsing import (
    BadSetting,
    database,
    mail,
    redis_broker_url,
    redis_client_url,
    secret_line,
    whole_number,
)


def _needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BadSetting(f"{name} is not set; docs/architecture.md lists what the controller needs")
    return value


DEBUG = False
SECRET_KEY = secret_line(_needed("SECRET_KEY_FILE"), "SECRET_KEY_FILE")
COLUMN_KEYS_FILE = os.environ.get("COLUMN_KEYS_FILE") or os.environ["SECRET_KEY_FILE"] + ".columns"
DATA_FOLDER = str(Path(_needed("SECRET_KEY_FILE")).absolute().parent)  # on the disk that fills
BUILDER_KEY = secret_line(_needed("BUILDER_KEY_FILE"), "BUILDER_KEY_FILE")
DATABASES = {"default": database(_needed("DATABASE_URL"))}
REDIS_URL = redis_client_url(_needed("REDIS_URL"))
BROKER_URL = redis_broker_url(REDIS_URL)
KUBECONFIG = os.environ.get("KUBECONFIG", "")  # empty: the pod's service account
if not os.environ.get("KUBERNETES_SERVICE_HOST"):
    _needed("KUBECONFIG")
TASKS_INLINE = False

PLATFORM_DOMAIN = os.environ.get("PLATFORM_DOMAIN", "paas.localhost")
PLATFORM_URL = os.environ.get("PLATFORM_URL", "http://paas.localhost:8080")
GIT_SSH_URL = os.environ.get("GIT_SSH_URL", "ssh://git@paas.localhost:2222")
APP_URL_TEMPLATE = os.environ.get("APP_URL_TEMPLATE", "http://{app}.paas.localhost:8080")
REGISTRY_HOST = os.environ.get("REGISTRY_HOST", "127.0.0.1:5000")
REGISTRY_URL = (os.environ.get("REGISTRY_URL") or f"http://{REGISTRY_HOST}").rstrip("/")
REGISTRY_CREDENTIALS = (
    json.loads(Path(os.environ["REGISTRY_CREDENTIALS_FILE"]).read_text())
    if os.environ.get("REGISTRY_CREDENTIALS_FILE")
    else {}
)
REGISTRY_TOKEN_KEY, REGISTRY_TOKEN_CERT = (
    Path(os.environ[name]).read_text() if os.environ.get(name) else ""
    for name in ("REGISTRY_TOKEN_KEY_FILE", "REGISTRY_TOKEN_CERT_FILE")
)
LOGGER_SOCKET = os.environ.get("LOGGER_SOCKET", "")
REGISTRY_ADMIN_SOCKET = os.environ.get("REGISTRY_ADMIN_SOCKET", "")
BUILDER_URL = os.environ.get("BUILDER_URL", "")
KEEP_IMAGES = whole_number("KEEP_IMAGES", os.environ.get("KEEP_IMAGES", ""), 10, least=1)
COLLECT_HOUR = whole_number("COLLECT_HOUR", os.environ.get("COLLECT_HOUR", ""), 3, least=0, most=23)
FIRST_ANSWER = os.environ.get("FIRST_ANSWER", "true").lower() != "false"
ROUTER_METRICS_URL = os.environ.get("ROUTER_METRICS_URL", "")
REGISTRATION_MODE = os.environ.get("REGISTRATION_MODE", "admin_only")
DEPLOY_HOOK_URLS = [url for url in os.environ.get("DEPLOY_HOOK_URLS", "").split(",") if url]
DEPLOY_HOOK_SECRET = os.environ.get("DEPLOY_HOOK_SECRET", "")
REMOVE_MISSING_TYPES = os.environ.get("DEIS_DEPLOY_PROCFILE_MISSING_REMOVE", "true").lower() != "false"
REJECT_MISSING_PROCFILE = os.environ.get("DEIS_DEPLOY_REJECT_IF_PROCFILE_MISSING", "false").lower() == "true"
WEBHOOKS_TO_PRIVATE_ADDRESSES = os.environ.get("WEBHOOKS_TO_PRIVATE_ADDRESSES", "false").lower() == "true"
OIDC_ISSUER = os.environ.get("OIDC_ISSUER", "")
OIDC_CLIENT_ID = os.environ.get("OIDC_CLIENT_ID", "") if not OIDC_ISSUER else _needed("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = os.environ.get("OIDC_CLIENT_SECRET", "")
OIDC_NAME = os.environ.get("OIDC_NAME", "single sign-on")
OIDC_REGISTER = os.environ.get("OIDC_REGISTER", "true").lower() != "false"
SMTP_URL = os.environ.get("SMTP_URL", "")
MAIL_ENABLED = bool(SMTP_URL)
globals().update(mail(SMTP_URL))
MAIL_FROM = os.environ.get("MAIL_FROM", f"paas@{PLATFORM_DOMAIN}")
CSRF_TRUSTED_ORIGINS = [PLATFORM_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PLATFORM_URL.startswith("https://")
