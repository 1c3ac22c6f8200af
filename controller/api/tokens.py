"""`/v2/tokens/`: personal tokens."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.actions import tokens as actions
from controller.api.scoping import Strict, View
from controller.api.shapes import Also, Page
from controller.models.token import SCOPES

LONGEST_LIFE = 3650  # days
USUAL_LIFE = 90  # days


class TokenSerializer(serializers.Serializer):
    name = serializers.CharField()
    scopes = serializers.JSONField()
    app = serializers.CharField(source="app.name", default=None)
    created = serializers.DateTimeField()
    expires = serializers.DateTimeField(allow_null=True)
    last_used = serializers.DateTimeField(allow_null=True)
    last_address = serializers.CharField()


class NewToken(Strict):
    name = serializers.RegexField(
        r"^[\w.@+:-]+$",
        max_length=100,
        error_messages={"invalid": "A token's name has letters, digits and @ . + - _ : but no blanks."},
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(
            tuple(SCOPES),
            error_messages={"invalid_choice": f"{{input}} is no scope; the scopes are {', '.join(SCOPES)}."},
        ),
        allow_empty=False,
    )
    days = serializers.IntegerField(min_value=1, max_value=LONGEST_LIFE, default=USUAL_LIFE, allow_null=True)
    app = serializers.CharField(max_length=63, required=False, allow_null=True)


class PersonalTokensView(View):
    takes = {"POST": NewToken}
    gives = {"GET": Page(TokenSerializer), "POST": (201, Also(TokenSerializer, token=str))}

    def get(self, request):
        return self.page(request.user.tokens.select_related("app"), TokenSerializer)

    def post(self, request):
        token, text = actions.create_token(user=request.user, **self.parsed(NewToken))
        return Response({**TokenSerializer(token).data, "token": text}, status=201)


class OnePersonalTokenView(View):
    gives = {"GET": TokenSerializer, "DELETE": 204}

    def get(self, request, name):
        return Response(TokenSerializer(actions.token_named(request.user, name)).data)

    def delete(self, request, name):
        actions.revoke_token(user=request.user, name=name)
        return Response(status=204)
