"""`/v2/gc`: administrators let go of images and files that nobody needs."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import require_admin
from controller.actions.collection import collect
from controller.api.scoping import Strict, View


class CollectionSerializer(Strict):
    dry_run = serializers.BooleanField(default=False)


class CollectionView(View):
    """Removes images and build files that no app keeps; `freed` is in bytes."""

    takes = {"POST": CollectionSerializer}
    gives = {"POST": {"items": [{"kind": str, "name": str, "bytes": int | None}], "freed": int | None}}

    def post(self, request):
        require_admin(request.user)
        done = collect(dry_run=self.parsed(CollectionSerializer)["dry_run"])
        return Response({"items": done.items, "freed": done.freed})
