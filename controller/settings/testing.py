"""Settings of the test suite: SQLite in memory, or the PostgreSQL that DATABASE_URL names; tasks run inline."""

import os

from controller.settings.base import *  # noqa: F403
from controller.settings.parsing import database, redis_broker_url, redis_client_url

DEBUG = False
SECRET_KEY = "for-tests-only-" * 3
COLUMN_KEYS_FILE = None
DATA_FOLDER = "/"
BUILDER_KEY = "builder-key-for-tests"
DATABASES = {
    "default": database(os.environ["DATABASE_URL"])
    if os.environ.get("DATABASE_URL")
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
}
REDIS_URL = redis_client_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:1"))
BROKER_URL = redis_broker_url(REDIS_URL)
KUBECONFIG = os.environ.get("KUBECONFIG", "")
TASKS_INLINE = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

PLATFORM_DOMAIN = "paas.localhost"
PLATFORM_URL = "http://paas.localhost:8080"
GIT_SSH_URL = "ssh://git@paas.localhost:2222"
APP_URL_TEMPLATE = "http://{app}.paas.localhost:8080"
FIRST_ANSWER = True
LOGGER_SOCKET = ""
REGISTRY_HOST = "127.0.0.1:5000"
REGISTRY_URL = "http://127.0.0.1:5000"
REGISTRY_CREDENTIALS = {"username": "paas", "password": "registry-password"}
ROUTER_METRICS_URL = ""
REGISTRY_ADMIN_SOCKET = BUILDER_URL = ""
KEEP_IMAGES, COLLECT_HOUR = 10, 3
REGISTRY_TOKEN_KEY = REGISTRY_TOKEN_CERT = ""
REGISTRATION_MODE = "enabled"
DEPLOY_HOOK_URLS: list[str] = []
DEPLOY_HOOK_SECRET = ""
REMOVE_MISSING_TYPES = True
REJECT_MISSING_PROCFILE = False
OIDC_ISSUER = OIDC_CLIENT_ID = OIDC_CLIENT_SECRET = ""
OIDC_NAME = "single sign-on"
OIDC_REGISTER = True
WEBHOOKS_TO_PRIVATE_ADDRESSES = False
MAIL_ENABLED = True  # into django.core.mail.outbox
MAIL_FROM = "paas@paas.localhost"
CSRF_TRUSTED_ORIGINS = [PLATFORM_URL]
