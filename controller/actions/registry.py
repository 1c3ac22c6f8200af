"""Who may do what with which image repository: an app's repository has the app's name and the app's rights."""

import hmac
from collections.abc import Sequence

from django.conf import settings

from controller.access import DEVELOP, READ, Right, may, within_limits
from controller.actions.auth import log_in
from controller.actions.tokens import user_of_token
from controller.errors import Invalid, NotFound, Unauthorized
from controller.models import App, User
from controller.registry_tokens import BUILDS, PULLERS, Signer, Wanted, is_builds_login, of_platform, pull_login

RIGHTS: dict[str, Right] = {"pull": READ, "push": DEVELOP}  # deleting is for the platform's own collection
WRONG = "Wrong user name or password (or token) for the image registry."
NEEDS_TOKEN = "Two-factor login is on: use a personal token as the password (`paas tokens:create`)."
USER_LIFE, PLATFORM_LIFE = 300, 3600  # seconds
LONGEST_LIFE = 2 * 24 * 3600  # seconds; of a token that the builder asks for, for as long as a build may take


def issue(*, username: str, password: str, address: str, wanted: Sequence[Wanted], life: int = 0) -> tuple[str, int]:
    """A token for as much of `wanted` as the account may have, and the seconds it lives.

    `password` may be a user's API token. `life`: seconds that the platform's own account wants it to live.

    Raises: NotFound, Unauthorized, TooManyTries.
    """
    if not (settings.REGISTRY_TOKEN_KEY and settings.REGISTRY_TOKEN_CERT):
        raise NotFound("This platform's registry takes no tokens of ours (REGISTRY_TOKEN_KEY_FILE is not set).")
    granted, seconds = grants(username, password, address, wanted, life)
    signer = Signer(settings.REGISTRY_TOKEN_KEY, settings.REGISTRY_TOKEN_CERT)
    return signer.token(username, granted, seconds), seconds


def grants(username: str, password: str, address: str, wanted: Sequence[Wanted], life: int) -> tuple[list[Wanted], int]:
    own = settings.REGISTRY_CREDENTIALS
    if own and username == own["username"]:
        check(password, own["password"])
        return list(wanted), min(life or PLATFORM_LIFE, LONGEST_LIFE)
    kind, slash, app = username.partition("/")
    if slash and kind == PULLERS:
        check(password, pull_login(settings.SECRET_KEY, app)[1])
        return [Wanted(one.repository, ("pull",)) for one in wanted if one.repository == app], USER_LIFE
    if slash and kind == BUILDS:
        if not is_builds_login(settings.BUILDER_KEY, username, password):
            raise Unauthorized(WRONG)
        return of_platform(wanted), USER_LIFE
    user = user_of(username, password, address)
    return [allowed for one in wanted if (allowed := allowed_to(user, one)).actions], USER_LIFE


def check(offered: str, expected: str) -> None:
    if not hmac.compare_digest(offered.encode(), expected.encode()):
        raise Unauthorized(WRONG)


def user_of(username: str, password: str, address: str) -> User:
    """By password, or by an API token of theirs."""
    found = user_of_token(password, address)
    if found and found[0].username == username and found[0].is_active:
        return found[0]
    try:
        return log_in(username=username, password=password, address=address)
    except Invalid as exc:
        raise Unauthorized(NEEDS_TOKEN if "code" in exc.errors else WRONG) from None


def allowed_to(user: User, wanted: Wanted) -> Wanted:
    app = App.objects.filter(name=wanted.repository).first()
    if app is None:
        return Wanted(wanted.repository, ())
    rights = ((action, RIGHTS[action]) for action in wanted.actions if action in RIGHTS)
    allowed = (a for a, right in rights if may(user, app, right) and within_limits(user, right.scope, app))
    return Wanted(wanted.repository, tuple(allowed))
