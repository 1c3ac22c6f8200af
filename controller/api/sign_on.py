"""`/v2/auth/cli/`: the command line's half of a login by the browser."""

from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.actions import audit
from controller.actions.sign_on import redeem_login
from controller.api.scoping import Strict, View
from controller.peer import client_address


class Redemption(Strict):
    code = serializers.CharField(max_length=100)
    verifier = serializers.CharField(max_length=200)


class CommandLineView(View):
    takes = {"POST": Redemption}
    gives = {"POST": {"username": str, "token": str}}
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request):
        user = redeem_login(**self.parsed(Redemption))
        audit.note(actor=user.username, via="browser", address=client_address(request), action="log in")
        return Response({"username": user.username, "token": user.token()})
