"""The only door to an App.

A right names the least role that has it (`models/roles.py`), and the scope a limited token needs for it. The app's
owner and administrators may do everything; others have the highest of their own role and their teams'. A stranger
is refused (403), and an app that doesn't exist is absent (404).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from controller.errors import Forbidden, Missing
from controller.models import App, Collaborator, TeamAccess, User
from controller.models.roles import COLLABORATOR, DEVELOPER, LEVELS, OPERATOR, OWNER, VIEWER


@dataclass(frozen=True)
class Right:
    """What a request needs: the least role, and the scope of a token that is limited to some."""

    role: str
    scope: str

    @property
    def level(self) -> int:
        return LEVELS[self.role]


READ = Right(VIEWER, "read")  # the app, its processes, releases, log
DEVELOP = Right(DEVELOPER, "deploy")  # builds, releases, formation, restarts
CONFIGURE = Right(DEVELOPER, "config")  # config, read and written
OPERATE = Right(COLLABORATOR, "operate")  # one-off commands, domains, certificates, settings
REMOVE = Right(OPERATOR, "operate")  # taking away what OPERATE adds
OWN = Right(OWNER, "admin")  # who may do what; handing over; destroying


def visible_apps(user: User) -> QuerySet[App]:
    """The apps that a list shows to `user`."""
    apps = App.objects.select_related("owner").order_by("name")
    if user.limits is not None and user.limits.app_id is not None:
        apps = apps.filter(pk=user.limits.app_id)
    if user.is_superuser:
        return apps
    own = Collaborator.objects.filter(user=user).values("app_id")
    shared = TeamAccess.objects.filter(team__members__user=user).values("app_id")
    return apps.filter(Q(owner=user) | Q(pk__in=own) | Q(pk__in=shared))


def apps_with(user: User, right: Right) -> QuerySet[App]:
    """Those of the visible apps to which `user` has `right` by role."""
    apps, roles = visible_apps(user), roles_with(right)
    if user.is_superuser:
        return apps
    own = Collaborator.objects.filter(user=user, role__in=roles).values("app_id")
    shared = TeamAccess.objects.filter(team__members__user=user, role__in=roles).values("app_id")
    return apps.filter(Q(owner=user) | Q(pk__in=own) | Q(pk__in=shared))


def level_of(user: User, app: App) -> int:
    """How much `user` may do with `app`, as in `LEVELS`; 0 for a stranger."""
    if user.is_superuser or app.owner_id == user.pk:
        return LEVELS[OWNER]
    roles = Collaborator.objects.filter(app=app, user=user).values_list("role").order_by()
    shared = TeamAccess.objects.filter(app=app, team__members__user=user).values_list("role").order_by()
    return max((LEVELS.get(role, 0) for (role,) in roles.union(shared)), default=0)


def may(user: User, app: App, right: Right) -> bool:
    return level_of(user, app) >= right.level


def app_for(user: User, name: str, right: Right = READ) -> App:
    """The app `name`, if `user` has `right` to it.

    Raises: Missing, Forbidden.
    """
    app = App.objects.select_related("owner").filter(name=name).first()
    if app is None:
        raise Missing("App")
    require(user, app, right)
    return app


def require(user: User, app: App, right: Right) -> None:
    """Raises: Forbidden unless `user` has `right` to `app`, by role and by the token used."""
    if not within_limits(user, right.scope, app):
        raise Forbidden(limited_text(user, right.scope))
    if not may(user, app, right):
        raise Forbidden()


def limited_text(user: User, scope: str) -> str:
    """Why the token that `user` came with doesn't allow `scope`."""
    advice = "`paas tokens` shows what yours are for."
    if user.limits is not None and user.limits.allow(scope, user.limits.app_id):
        return f"This token is for another app alone; {advice}"
    return f"This token isn't made for that, which needs the scope '{scope}'; {advice}"


def within_limits(user: User, scope: str, app: App | None) -> bool:
    """Whether the token that `user` came with allows `scope`, on `app` or on what belongs to no app."""
    return user.limits is None or user.limits.allow(scope, app.pk if app else None)


def people_of(app: App, right: Right) -> QuerySet[User]:
    """The users who have `right` to `app` by name or team; administrators only when they are among those."""
    roles = roles_with(right)
    return User.objects.filter(
        Q(pk=app.owner_id)
        | Q(pk__in=Collaborator.objects.filter(app=app, role__in=roles).values("user_id"))
        | Q(memberships__team__in=TeamAccess.objects.filter(app=app, role__in=roles).values("team_id"))
    ).distinct()


def roles_with(right: Right) -> Iterable[str]:
    return [role for role, level in LEVELS.items() if level >= right.level]


def require_admin(user: User) -> None:
    if not user.is_superuser:
        raise Forbidden()
