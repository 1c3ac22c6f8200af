"""`/v2/auth/totp/`: two-factor login."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import require_admin
from controller.actions import second_factor as actions
from controller.actions.auth import prove_password, user_named
from controller.api.scoping import Strict, View
from controller.errors import Invalid
from controller.peer import client_address


class Enrolment(Strict):
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, required=False, allow_blank=True, default=""
    )


class Code(Strict):
    code = serializers.CharField(max_length=32)


class GivingUp(Strict):
    code = serializers.CharField(max_length=32, required=False)
    username = serializers.CharField(max_length=150, required=False)


class SecondFactorView(View):
    """GET: whether it is on. POST: begin to enrol, with the password. DELETE: turn it off, with a code."""

    takes = {"POST": Enrolment, "DELETE": GivingUp}
    gives = {
        "GET": {"enabled": bool, "recovery_codes_left": int},
        "POST": (201, {"secret": str, "uri": str, "qr": list[str]}),
        "DELETE": 204,
    }

    def get(self, request):
        return Response(actions.state_of(request.user))

    def post(self, request):
        prove_password(request.user, self.parsed(Enrolment)["password"], client_address(request))
        begun = actions.enrol(request.user)
        return Response({**begun, "qr": actions.rows_of(begun["uri"])}, status=201)

    def delete(self, request):
        parsed = self.parsed(GivingUp)
        user = request.user
        if parsed.get("username") not in (None, user.username):
            require_admin(user)
            user = user_named(parsed["username"])
        elif actions.has_second_factor(user) and not actions.check_code(user, parsed.get("code", "")):
            raise Invalid(code=actions.WRONG)
        actions.turn_off(user)
        return Response(status=204)


class ConfirmView(View):
    takes = {"POST": Code}
    gives = {"POST": (201, {"recovery_codes": list[str]})}

    def post(self, request):
        return Response({"recovery_codes": actions.confirm(request.user, self.parsed(Code)["code"])}, status=201)
