"""`/v2/keys/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.actions.keys import add_key, key_of, remove_key
from controller.api.scoping import Strict, View
from controller.api.shapes import Page


class KeySerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    owner = serializers.CharField(source="owner.username")
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()
    id = serializers.CharField(source="name")
    public = serializers.CharField()
    fingerprint = serializers.CharField()


class NewKeySerializer(Strict):
    ignored = ("uuid", "owner", "created", "updated", "fingerprint")

    id = serializers.CharField(max_length=128)
    public = serializers.CharField(max_length=16 * 1024)


class KeysView(View):
    takes = {"POST": NewKeySerializer}
    gives = {"GET": Page(KeySerializer), "POST": (201, KeySerializer)}

    def get(self, request):
        return self.page(request.user.keys.select_related("owner"), KeySerializer)

    def post(self, request):
        parsed = self.parsed(NewKeySerializer)
        key = add_key(owner=request.user, name=parsed["id"], public=parsed["public"])
        return Response(KeySerializer(key).data, status=201)


class OneKeyView(View):
    gives = {"GET": KeySerializer, "DELETE": 204}

    def get(self, request, name):
        return Response(KeySerializer(key_of(request.user, name)).data)

    def delete(self, request, name):
        remove_key(owner=request.user, name=name)
        return Response(status=204)
