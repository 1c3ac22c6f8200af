"""`/v2/auth/…`, users, administrators."""

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.access import require_admin
from controller.actions import audit
from controller.actions import auth as actions
from controller.api.parsing import JSON
from controller.api.scoping import Strict, View
from controller.api.shapes import Page
from controller.errors import BadRequest
from controller.models import User
from controller.peer import client_address


class UserSerializer(serializers.Serializer):
    """A user as others may see it."""

    email = serializers.CharField()
    username = serializers.CharField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    is_superuser = serializers.BooleanField()
    is_staff = serializers.BooleanField()
    groups = serializers.SerializerMethodField()
    user_permissions = serializers.SerializerMethodField()
    last_login = serializers.DateTimeField(allow_null=True)
    date_joined = serializers.DateTimeField()
    is_active = serializers.BooleanField()

    def get_groups(self, user) -> list:
        return []

    def get_user_permissions(self, user) -> list:
        return []


# The client knows this sentence; Django's own has one comma more.
USERNAME = "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."


class RegisterSerializer(Strict):
    ignored = (
        "is_superuser", "is_staff", "is_active", "groups", "user_permissions", "last_login", "date_joined", "id",
    )  # fmt: skip

    username = serializers.CharField(max_length=150, validators=[UnicodeUsernameValidator(message=USERNAME)])
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)
    first_name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    last_name = serializers.CharField(required=False, allow_blank=True, max_length=150)

    def validate_username(self, value):
        if User.objects.filter(username=value).exists():
            raise serializers.ValidationError("A user with that username already exists.")
        return value


class LoginSerializer(Strict):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    code = serializers.CharField(max_length=32, required=False, allow_blank=True)


class PasswordSerializer(Strict):
    username = serializers.CharField(required=False, allow_null=True)
    password = serializers.CharField(required=False, allow_null=True, allow_blank=True, trim_whitespace=False)
    new_password = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, trim_whitespace=False, max_length=1024
    )


class TokensSerializer(Strict):
    """That `all` is there is what counts, whatever its value."""

    username = serializers.CharField(required=False, allow_null=True)
    all = serializers.JSONField(required=False, allow_null=True)


class UsernameSerializer(Strict):
    username = serializers.CharField(required=False, allow_null=True)


class NamedSerializer(Strict):
    username = serializers.CharField()


class RootView(View):
    gives = {"GET": {}}
    open_to_app_tokens = True

    def get(self, request):
        return Response({})


class RegisterView(View):
    takes = {"POST": RegisterSerializer}
    gives = {"POST": (201, UserSerializer)}
    permission_classes = (AllowAny,)

    def post(self, request):
        parsed = self.parsed(RegisterSerializer)
        user = actions.register(by=request.user, **parsed)
        if request.user is None:
            audit.note(actor=user.username, via="register", address=client_address(request), action="register")
        return Response(UserSerializer(user).data, status=201)


class LoginView(View):
    takes = {"POST": LoginSerializer}
    gives = {"POST": {"token": str}}
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (JSON, FormParser, MultiPartParser)

    def post(self, request):
        parsed = self.parsed(LoginSerializer)
        user = actions.log_in(**parsed, address=client_address(request))
        return Response({"token": user.token()})


class WhoamiView(View):
    gives = {"GET": UserSerializer}
    open_to_app_tokens = True

    def get(self, request):
        return Response(UserSerializer(request.user).data)


class PasswordView(View):
    takes = {"POST": PasswordSerializer}
    gives = {"POST": {"status": str}}

    def post(self, request):
        parsed = self.parsed(PasswordSerializer)
        if not parsed.get("new_password"):
            raise BadRequest("new_password is a required field")
        username = parsed.get("username")
        if username is not None and username != request.user.username:
            require_admin(request.user)
        if not request.user.is_superuser and not parsed.get("password"):
            raise BadRequest("password is a required field")
        actions.change_password(
            by=request.user, username=username, old=parsed.get("password"), new=parsed["new_password"]
        )
        return Response({"status": "password set"})


class TokensView(View):
    takes = {"POST": TokensSerializer}
    gives = {"POST": dict[str, str] | str}

    def post(self, request):
        parsed = self.parsed(TokensSerializer)
        if "all" in parsed:
            require_admin(request.user)
            actions.regenerate_all_tokens()
            return Response("")
        user = request.user
        if parsed.get("username") is not None:
            require_admin(request.user)
            user = actions.user_named(parsed["username"])
        return Response({"token": actions.regenerate_token(user)})


class CancelView(View):
    takes = {"DELETE": UsernameSerializer}
    gives = {"DELETE": 204}

    def delete(self, request):
        username = self.parsed(UsernameSerializer).get("username")
        actions.cancel(by=request.user, username=username)
        return Response(status=204)


class UsersView(View):
    gives = {"GET": Page(UserSerializer)}

    def get(self, request):
        require_admin(request.user)
        return self.page(User.objects.order_by("username"), UserSerializer)


class AdminSerializer(serializers.Serializer):
    username = serializers.CharField()
    is_superuser = serializers.BooleanField()


class AdminsView(View):
    takes = {"POST": NamedSerializer}
    gives = {"GET": Page(AdminSerializer), "POST": 201}

    def get(self, request):
        require_admin(request.user)
        return self.page(User.objects.filter(is_superuser=True).order_by("username"), AdminSerializer)

    def post(self, request):
        require_admin(request.user)
        actions.set_admin(self.parsed(NamedSerializer)["username"], admin=True)
        return HttpResponse(status=201)


class OneAdminView(View):
    gives = {"DELETE": 204}

    def delete(self, request, username):
        require_admin(request.user)
        actions.set_admin(username, admin=False)
        return HttpResponse(status=204)
