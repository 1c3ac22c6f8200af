"""What happened becomes notices, and notices become deliveries: rows in the transaction of what they tell of."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.access import READ, may
from controller.errors import BadRequest
from controller.models import App, Delivery, MailSubscription, Notice, Release, User, Webhook
from controller.models.notice import PING
from controller.outbox import enqueue


def emit(app: App | None, event: str, text: str, *, release: Release | None = None, to: User | None = None) -> Notice:
    """Tells everybody who wants to hear of `event` of `app`; of what belongs to no app its owner `to`, and of what is
    the platform's own (neither) the administrators.
    """
    data = described(release) if release is not None else {}
    with transaction.atomic():
        notice = Notice.objects.create(app=app, event=event, text=text, data=data)
        rows = [Delivery(notice=notice, webhook=hook) for hook in hooks_for(app, event, to)]
        rows += [Delivery(notice=notice, user=user) for user in readers_of(app, event, to)]
        post(rows)
    return notice


def post(rows: list[Delivery]) -> None:
    """Puts deliveries into the outbox."""
    for row in Delivery.objects.bulk_create(rows):
        transaction.on_commit(lambda pk=row.pk: enqueue("controller.deliver", pk))


def hooks_for(app: App | None, event: str, to: User | None) -> list[Webhook]:
    """The app's; of the platform's own those that administrators added, whichever app to, each address once."""
    if app is not None:
        return [hook for hook in app.webhooks.all() if not hook.events or event in hook.events]
    if to is not None:
        return []
    rows = Webhook.objects.filter(owner__is_superuser=True, owner__is_active=True)
    return list({hook.url: hook for hook in rows if not hook.events or event in hook.events}.values())


def readers_of(app: App | None, event: str, to: User | None) -> list[User]:
    """Those who asked for mail about `event` and may see `app`; about the platform's own, administrators alone."""
    if not settings.MAIL_ENABLED:
        return []
    rows = MailSubscription.objects.select_related("user").filter(user__is_active=True).exclude(user__email="")
    if app is not None:
        rows = rows.filter(app=None) | rows.filter(app=app)
    else:
        rows = rows.filter(app=None, user=to) if to is not None else rows.filter(app=None, user__is_superuser=True)
    chosen = {row.user for row in rows if not row.events or event in row.events}
    return sorted((user for user in chosen if app is None or may(user, app, READ)), key=lambda user: user.username)


def described(release: Release) -> dict:
    build = release.build
    return {
        "release": f"v{release.version}",
        "summary": release.summary,
        "user": release.owner.username,
        "sha": build.sha if build else "",
        "image": build.image if build else "",
    }


def ping(hook: Webhook, by: User) -> Delivery:
    """A notice to try `hook` with."""
    with transaction.atomic():
        notice = Notice.objects.create(app=hook.app, event=PING, text=f"{by.username} tries this webhook")
        post([Delivery(notice=notice, webhook=hook)])
    return notice.deliveries.get()


def ping_mail(user: User) -> Delivery:
    """A mail to `user`, to try that it arrives. Raises: BadRequest."""
    require_mail(user)
    with transaction.atomic():
        notice = Notice.objects.create(event=PING, text=f"{user.username} tries whether mail arrives")
        post([Delivery(notice=notice, user=user)])
    return notice.deliveries.get()


def require_mail(user: User) -> None:
    """Raises: BadRequest when no mail can go to `user`."""
    if not settings.MAIL_ENABLED:
        raise BadRequest("This platform can't send mail: its operator has set no SMTP_URL")
    if not user.email:
        raise BadRequest("Your account has no mail address; set one with `paas notifications:address MAIL`")


def redeliver(delivery: Delivery) -> Delivery:
    """The same notice once more, as a delivery of its own."""
    with transaction.atomic():
        post([Delivery(notice=delivery.notice, webhook=delivery.webhook, user=delivery.user)])
    return Delivery.objects.filter(notice=delivery.notice, webhook=delivery.webhook).order_by("-id")[0]


def forget_old_notices() -> None:
    """Deletes notices, with their deliveries, that are older than the log of deliveries reaches."""
    limit = timezone.now() - timedelta(days=settings.NOTICES_KEPT)
    Notice.objects.filter(time__lt=limit).exclude(deliveries__state=Delivery.QUEUED).delete()
