"""`/v2/invitations/`: links that make an account or give a role, once."""

from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.actions import audit
from controller.actions import invitations as actions
from controller.api.auth import RegisterSerializer, UserSerializer
from controller.api.scoping import Strict, View
from controller.api.shapes import Also, Page
from controller.models.roles import ROLES
from controller.peer import client_address

USUAL_LIFE, LONGEST_LIFE = 7, 90  # days


class InvitationSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    by = serializers.CharField(source="by.username")
    email = serializers.CharField()
    team = serializers.CharField(source="team.name", default=None)
    app = serializers.CharField(source="app.name", default=None)
    role = serializers.CharField()
    created = serializers.DateTimeField()
    expires = serializers.DateTimeField()
    accepted = serializers.DateTimeField(allow_null=True)
    accepted_by = serializers.CharField(source="accepted_by.username", default=None)


class NewInvitation(Strict):
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)
    team = serializers.CharField(required=False, max_length=63)
    app = serializers.CharField(required=False, max_length=63)
    role = serializers.ChoiceField(ROLES, required=False)
    days = serializers.IntegerField(min_value=1, max_value=LONGEST_LIFE, default=USUAL_LIFE)


class Acceptance(RegisterSerializer):
    token = serializers.CharField(max_length=500)


class KnownAcceptance(Strict):
    """By somebody who is signed in: nothing but the token counts."""

    token = serializers.CharField(max_length=500)


class InvitationsView(View):
    takes = {"POST": NewInvitation}
    gives = {"GET": Page(InvitationSerializer), "POST": (201, Also(InvitationSerializer, link=str))}

    def get(self, request):
        return self.page(actions.visible_invitations(request.user), InvitationSerializer)

    def post(self, request):
        row, link = actions.invite(by=request.user, **self.parsed(NewInvitation))
        return Response({**InvitationSerializer(row).data, "link": link}, status=201)


class OneInvitationView(View):
    gives = {"DELETE": 204}

    def delete(self, request, number):
        actions.take_back(by=request.user, number=int(number))
        return Response(status=204)


class AcceptView(View):
    takes = {"POST": Acceptance}
    gives = {"POST": {200: UserSerializer, 201: UserSerializer}}
    permission_classes = (AllowAny,)

    def post(self, request):
        if request.user is not None:
            user = actions.accept(by=request.user, **self.parsed(KnownAcceptance))
            return Response(UserSerializer(user).data)
        parsed = self.parsed(Acceptance)
        user = actions.accept(by=None, **parsed)
        audit.note(
            actor=user.username, via="invitation", address=client_address(request), action="accept an invitation"
        )
        return Response(UserSerializer(user).data, status=201)
