"""`/v2/info`: what a client needs to know before anyone signs in. Nothing here is secret."""

from django.conf import settings
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.api.scoping import View
from controller.middleware import API_VERSION, PLATFORM_VERSION

FACTS = (
    "api_version",
    "platform_version",
    "platform_domain",
    "platform_url",
    "git_ssh_url",
    "app_url_template",
    "registration",
)


class InfoView(View):
    gives = {"GET": {**dict.fromkeys(FACTS, str), "sign_on": str | None}}
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request):
        return Response(
            {
                "api_version": API_VERSION,
                "platform_version": PLATFORM_VERSION,
                "platform_domain": settings.PLATFORM_DOMAIN,
                "platform_url": settings.PLATFORM_URL,
                "git_ssh_url": settings.GIT_SSH_URL,
                "app_url_template": settings.APP_URL_TEMPLATE,
                "registration": settings.REGISTRATION_MODE,
                "sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else None,
            }
        )
