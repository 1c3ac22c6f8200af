"""`/v2/audit/` and `/v2/apps/APP/audit/`: who did what from where."""

from rest_framework import serializers

from controller.access import OPERATE
from controller.actions.audit import entries_for, entries_of
from controller.api.scoping import AppView, View
from controller.api.shapes import Page


class EntrySerializer(serializers.Serializer):
    id = serializers.IntegerField()
    time = serializers.DateTimeField()
    actor = serializers.CharField()
    via = serializers.CharField()
    address = serializers.CharField()
    action = serializers.CharField()
    app = serializers.CharField()
    detail = serializers.JSONField()
    status = serializers.SerializerMethodField()

    def get_status(self, entry) -> int | None:
        """The HTTP status it ended with; null while it goes on, or when it was cut off."""
        outcome = getattr(entry, "outcome", None)
        return outcome.status if outcome else None


class AuditView(View):
    gives = {"GET": Page(EntrySerializer)}

    def get(self, request):
        return self.page(entries_for(request.user), EntrySerializer)


class AppAuditView(AppView):
    gives = {"GET": Page(EntrySerializer)}
    rights = {"GET": OPERATE, "HEAD": OPERATE}

    def get(self, request, **kwargs):
        return self.page(entries_of(self.app), EntrySerializer)
