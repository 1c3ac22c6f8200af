"""Deploy hooks: the operator's addresses that hear of every release."""

import hashlib
import hmac
import http.client
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from celery import shared_task
from django.conf import settings

from controller.actions.events import record
from controller.errors import cause_of
from controller.models import Release

TIMEOUT = 5  # seconds one address may take


@shared_task(name="controller.send_deploy_hook")
def send_deploy_hook(release_id: str, url: str, event: str = "", text: str = "") -> None:
    release = Release.objects.select_related("app", "owner", "build").get(pk=release_id)
    target = hook_url(url, release, {"event": event, "reason": text} if event else {})
    headers = {}
    if settings.DEPLOY_HOOK_SECRET:
        digest = hmac.new(settings.DEPLOY_HOOK_SECRET.encode(), target.encode(), hashlib.sha1).hexdigest()
        headers["Authorization"] = digest
    host = urlsplit(url).netloc.rpartition("@")[2]  # the log's readers needn't know a path that is a secret
    try:
        with urlopen(Request(target, data=b"", headers=headers, method="POST"), timeout=TIMEOUT):
            record(release.app, f"Deploy hook sent to {host}")
    except (OSError, http.client.HTTPException, ValueError) as exc:
        record(release.app, f"An error occurred while sending the deploy hook to {host}: {cause_of(exc)}", "ERROR")


def hook_url(url: str, release: Release, more: dict[str, str]) -> str:
    query = {
        "app": release.app.name,
        "release": f"v{release.version}",
        "release_summary": release.summary,
        "sha": release.build.sha if release.build else "",
        "user": release.owner.username,
        **more,
    }
    return f"{url}?{urlencode(sorted(query.items()))}"
