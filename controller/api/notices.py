"""`/v2/apps/APP/webhooks/` and `/v2/notifications/`: who hears of what happens to an app."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OPERATE, app_for
from controller.actions import app_webhooks
from controller.actions import notices as actions
from controller.api.scoping import AppView, Strict, View
from controller.api.shapes import Also, Page
from controller.errors import Missing
from controller.models import Delivery, MailSubscription, Webhook
from controller.models.notice import EVENTS


class EventsField(serializers.ListField):
    """Names of events; none means all."""

    child = serializers.ChoiceField(
        tuple(EVENTS),
        error_messages={"invalid_choice": f"{{input}} is no event; the events are {', '.join(EVENTS)}."},
    )


class WebhookSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    url = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    events = serializers.JSONField()
    created = serializers.DateTimeField()


class NewWebhook(Strict):
    url = serializers.CharField(max_length=2000)
    events = EventsField(required=False, default=list)
    secret = serializers.CharField(min_length=16, max_length=200, required=False)


class DeliverySerializer(serializers.Serializer):
    id = serializers.IntegerField()
    event = serializers.CharField(source="notice.event")
    text = serializers.CharField(source="notice.text")
    time = serializers.DateTimeField(source="notice.time")
    state = serializers.CharField()
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    next_try = serializers.SerializerMethodField()
    updated = serializers.DateTimeField()

    def get_next_try(self, row) -> str | None:
        return row.next_try.strftime("%Y-%m-%dT%H:%M:%SZ") if row.state == Delivery.QUEUED else None


class MailDeliverySerializer(DeliverySerializer):
    app = serializers.CharField(source="notice.app.name", default=None, allow_null=True)


class MailAddress(Strict):
    email = serializers.EmailField(max_length=254, allow_blank=True)


class NotificationChange(Strict):
    app = serializers.CharField(max_length=63, required=False)
    events = EventsField(required=False, default=list)


class NotificationName(Strict):
    app = serializers.CharField(max_length=63, required=False)


class WebhookView(AppView):
    rights = {"GET": OPERATE, "HEAD": OPERATE, "POST": OPERATE, "DELETE": OPERATE}

    def webhook(self) -> Webhook:
        return app_webhooks.webhook_of(self.app, int(self.kwargs["number"]))


MAIL = {"app": str | None, "events": list[str]}


class WebhooksView(WebhookView):
    takes = {"POST": NewWebhook}
    gives = {"GET": Page(WebhookSerializer), "POST": (201, Also(WebhookSerializer, secret=str))}

    def get(self, request, **kwargs):
        return self.page(self.app.webhooks.select_related("owner"), WebhookSerializer)

    def post(self, request, **kwargs):
        row = app_webhooks.add_webhook(app=self.app, by=request.user, **self.parsed(NewWebhook))
        return Response({**WebhookSerializer(row).data, "secret": row.secret}, status=201)


class OneWebhookView(WebhookView):
    gives = {"GET": WebhookSerializer, "DELETE": 204}

    def get(self, request, **kwargs):
        return Response(WebhookSerializer(self.webhook()).data)

    def delete(self, request, **kwargs):
        app_webhooks.remove_webhook(self.webhook())
        return Response(status=204)


class WebhookTestView(WebhookView):
    gives = {"POST": (201, DeliverySerializer)}

    def post(self, request, **kwargs):
        return Response(DeliverySerializer(app_webhooks.try_webhook(self.webhook(), request.user)).data, status=201)


class DeliveriesView(WebhookView):
    gives = {"GET": Page(DeliverySerializer)}

    def get(self, request, **kwargs):
        return self.page(self.webhook().deliveries.select_related("notice"), DeliverySerializer)


class RedeliverView(WebhookView):
    gives = {"POST": (201, DeliverySerializer)}

    def post(self, request, **kwargs):
        row = app_webhooks.delivery_of(self.webhook(), int(kwargs["delivery"]))
        return Response(DeliverySerializer(actions.redeliver(row)).data, status=201)


class NotificationsView(View):
    """Mail to the asking user: about one app, or about all of theirs when none is named."""

    takes = {"POST": NotificationChange, "DELETE": NotificationName}
    gives = {"GET": {"email": str, "mail": [MAIL]}, "POST": (201, MAIL), "DELETE": 204}

    def get(self, request):
        rows = request.user.mail_subscriptions.order_by("app__name").values_list("app__name", "events")
        return Response({"email": request.user.email, "mail": [{"app": app, "events": events} for app, events in rows]})

    def post(self, request):
        parsed = self.parsed(NotificationChange)
        actions.require_mail(request.user)
        app = app_for(request.user, parsed["app"]) if parsed.get("app") else None
        events = parsed["events"]
        MailSubscription.objects.update_or_create(user=request.user, app=app, defaults={"events": events})
        return Response({"app": app.name if app else None, "events": events}, status=201)

    def delete(self, request):
        name = self.parsed(NotificationName).get("app")
        rows = request.user.mail_subscriptions
        deleted, _ = (rows.filter(app__name=name) if name else rows.filter(app=None)).delete()
        if not deleted:
            raise Missing("Notification")
        return Response(status=204)


class MailAddressView(View):
    """Where mail to the asking user goes; empty: nowhere."""

    takes = {"POST": MailAddress}
    gives = {"POST": {"email": str}}

    def post(self, request):
        request.user.email = self.parsed(MailAddress)["email"]
        request.user.save(update_fields=["email"])
        return Response({"email": request.user.email})


class MailTestView(View):
    gives = {"POST": (201, MailDeliverySerializer)}

    def post(self, request):
        return Response(MailDeliverySerializer(actions.ping_mail(request.user)).data, status=201)


class MailDeliveriesView(View):
    """What was mailed to the asking user, and how it went."""

    gives = {"GET": Page(MailDeliverySerializer)}

    def get(self, request):
        rows = Delivery.objects.filter(user=request.user).select_related("notice__app").order_by("-id")
        return self.page(rows, MailDeliverySerializer)
