"""What is the same wherever the controller runs."""

import os
from datetime import timedelta


def default_to_deploy() -> None:
    """The running platform's settings hold when nobody says which."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controller.settings.deploy")


INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular_sidecar",  # the files of the page that shows the API
    "controller",
    "controller.dashboard",
]
MIDDLEWARE = [
    "controller.middleware.Observed",
    "controller.middleware.Versioned",
    "controller.middleware.BodyCap",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "controller.urls"
WSGI_APPLICATION = "controller.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_USER_MODEL = "controller.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "controller.dashboard.edge.forged"

ALLOWED_HOSTS = ["*"]  # the router decides which host reaches the controller
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())
CSRF_COOKIE_SAMESITE = "Lax"

DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # bytes of a request's body; the largest real one is a certificate chain

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "controller.api.authentication.TokenAuthentication",
        "controller.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "controller.api.parsing.JSON",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_PAGINATION_CLASS": "controller.api.pagination.Page",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "controller.api.parsing.AlwaysJSON",
    "EXCEPTION_HANDLER": "controller.api.edge.answer",
    "DEFAULT_SCHEMA_CLASS": "controller.api.openapi.Described",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "paas",
    "DESCRIPTION": "Deis' API v2.3, and what goes beyond it. A request carries `Authorization: token …`.",
    "SCHEMA_PATH_PREFIX": "/v2",
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_NO_READ_ONLY_REQUIRED": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "POSTPROCESSING_HOOKS": [],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "controller.logs.JSONLines"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "urllib3": {"level": "ERROR"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

RESERVED_APP_NAMES = ("deis", "deis-builder", "deis-workflow-manager")
DEPLOY_TIMEOUT = 120  # seconds for a batch of pods to come up, unless the app's DEIS_DEPLOY_TIMEOUT says otherwise
RUN_TIMEOUT = 20 * 60  # seconds a one-off command may take
DETACHED_TIMEOUT = 24 * 3600  # seconds a detached command may take at most, and does when nobody says less
SIZES = {  # what `ps:type` names; memory and CPU as limits take them
    "tiny": {"memory": "128M", "cpu": "100m"},
    "small": {"memory": "256M", "cpu": "250m"},
    "medium": {"memory": "512M", "cpu": "500m"},
    "large": {"memory": "1G", "cpu": "1"},
    "xlarge": {"memory": "2G", "cpu": "2"},
    "2xlarge": {"memory": "4G", "cpu": "4"},
}
RESTART_TIMEOUT = 5 * 60  # seconds a restart may take
ABANDONED_AFTER = (
    20.0  # seconds without one until another worker takes it over; several heartbeats and one slow API call
)
RECOVERY_PERIOD = 5.0  # seconds between looks for abandoned operations; with the above, far under a minute
MAX_ATTEMPTS = 4  # workers an operation may outlive before it counts as the cause
WATCH_PERIOD = 2.0  # seconds between looks at releases that went live lately
OUTPUTS_KEPT = 100  # releases of an app whose output is kept
LOGIN_FAILURES = 10  # wrong passwords for one name from one address …
LOGIN_FAILURES_OF_A_NAME = 50  # … for one name from anywhere …
LOGIN_FAILURES_FROM_AN_ADDRESS = 50  # … from one address for any name …
LOGIN_WINDOW = 300  # … in this many seconds, before further tries are refused
NOTICES_KEPT = 30  # days that webhooks' deliveries can be looked at
EVENTS_KEPT = 1000  # log lines of the controller kept per app
BUILD_RUNS_KEPT = 200  # builds remembered per app, failed ones too; their output is kept by the builder
