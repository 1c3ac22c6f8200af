"""What the views share: the app in the address with the right the method needs, and parsed bodies."""

from functools import cached_property

from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.serializers import CharField, Field, Serializer
from rest_framework.views import APIView

from controller.access import OPERATE, READ, REMOVE, Right, app_for, limited_text
from controller.actions import audit
from controller.actions.tokens import user_of_token
from controller.api.shapes import Shape
from controller.errors import Forbidden, Invalid, PaasError
from controller.models import App, AuditEntry, User
from controller.peer import client_address

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class View(APIView):
    """`scopes` says what a limited token needs for each method; what belongs to an app is the door's to judge."""

    scopes = {"GET": "read", "HEAD": "read"}  # any other method: admin
    deeds: tuple[str, ...] = WRITES  # the methods that the audit trail tells of
    open_to_app_tokens = False  # whether a token for one app may read here
    takes: dict[str, Shape] = {}  # what bodies have, what answers have and what may be asked, by method: shapes.py
    gives: dict[str, Shape] = {}
    asks: dict[str, dict[str, str]] = {}

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        broken = self.begin_entry(request) if request.method in self.deeds else None
        self.check_right(request)
        if broken is not None:
            raise broken

    def begin_entry(self, request) -> APIException | None:
        """Writes down who is about to do what; gives back what is wrong with a body nobody can parse."""
        broken, detail = None, {}
        try:
            detail = audit.summarize(request.data)
        except APIException as exc:
            broken = exc
        if request.user is not None:
            self.entry = audit.begin(
                actor=request.user.username,
                via=str(request.auth or "dashboard"),
                address=client_address(request),
                action=f"{request.method} {request.path}",
                app=self.kwargs.get("app", ""),
                detail=detail,
            )
        return broken

    def check_right(self, request) -> None:
        """Raises: Forbidden when the token used isn't made for this."""
        limits = request.user.limits if request.user is not None else None
        scope = self.scopes.get(request.method, "admin")
        readable = self.open_to_app_tokens and request.method not in WRITES
        if limits and not limits.allow(scope, limits.app_id if readable else None):
            raise Forbidden(limited_text(request.user, scope))

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.entry is not None:
            audit.end(self.entry, response.status_code)
        return response

    entry: AuditEntry | None = None

    def parsed(self, serializer: type[Serializer], data=None) -> dict:
        """The body's fields. Raises: ValidationError naming the field."""
        form = serializer(data=self.request.data if data is None else data)
        form.is_valid(raise_exception=True)
        return form.validated_data

    def page(self, rows, serializer: type[Serializer]) -> Response:
        """One page of `rows`, as Deis lists them."""
        paginator = self.settings.DEFAULT_PAGINATION_CLASS()
        chosen = paginator.paginate_queryset(rows, self.request, view=self)
        return paginator.get_paginated_response(serializer(chosen, many=True).data)


class AppView(View):
    """A view below `/v2/apps/APP/`; `rights` says what each method needs."""

    rights: dict[str, Right] = {"GET": READ, "HEAD": READ, "POST": OPERATE, "DELETE": REMOVE}

    def check_right(self, request) -> None:
        """The door does it, with the app at hand."""
        if request.method in self.rights:
            self.app  # noqa: B018 - the right comes before the body

    @cached_property
    def app(self) -> App:
        return app_for(self.request.user, self.kwargs["app"], self.rights[self.request.method])

    def still_allowed(self) -> bool:
        """Whether who asked could ask it again: an answer that goes on for hours must end with the right to it."""
        user = still_known(self.request)
        try:
            return user is not None and bool(app_for(user, self.kwargs["app"], self.rights[self.request.method]))
        except PaasError:
            return False


def still_known(request) -> User | None:
    """Who asked, read anew; none whose token was revoked or ended, or whose account isn't active."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "token":
        found = user_of_token(token.strip(), client_address(request))
        return found[0] if found and found[0].is_active else None
    return User.objects.filter(pk=request.user.pk, is_active=True).first()


class Strict(Serializer):
    """Refuses fields it doesn't know, by name, and numbers where text is due.

    `ignored` may come along (clients echo what they read).
    """

    ignored: tuple[str, ...] = ()

    def to_internal_value(self, data):
        if isinstance(data, dict):
            unknown = sorted(str(key) for key in data.keys() - self.fields.keys() - set(self.ignored))
            if unknown:
                known = ", ".join(sorted(self.fields)) or "none"
                raise_unknown(unknown, known)
            numbers = [name for name, field in self.fields.items() if _is_number_for_text(field, data.get(name))]
            if numbers:
                raise Invalid(**dict.fromkeys(numbers, "Not a valid string."))
        return super().to_internal_value(data)


class Nothing(Strict):
    """No fields: the address says it all."""


def _is_number_for_text(field: Field, value) -> bool:
    return isinstance(field, CharField) and isinstance(value, int | float)


def raise_unknown(unknown: list[str], known: str) -> None:
    """Raises: Invalid."""
    raise Invalid(**{name: f"Unknown field; the known ones are {known}." for name in unknown})


IDENTITY = ("uuid", "app", "owner", "created", "updated")
