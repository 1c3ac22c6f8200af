"""The only door to an App.

Owner and admin may do everything; a collaborator reads and posts but never deletes, transfers or grants; a
stranger is refused (403), and an app that doesn't exist is absent (404).
"""

from django.db.models import Q, QuerySet

from controller.errors import Forbidden, Missing
from controller.models import App, Collaborator, User

READ, CHANGE, OWN = "read", "change", "own"


def visible_apps(user: User) -> QuerySet[App]:
    """The apps that a list shows to `user`."""
    apps = App.objects.select_related("owner").order_by("name")
    if user.is_superuser:
        return apps
    return apps.filter(Q(owner=user) | Q(pk__in=Collaborator.objects.filter(user=user).values("app_id")))


def app_for(user: User, name: str, right: str = READ) -> App:
    """The app `name`, if `user` has `right` (READ, CHANGE or OWN) to it.

    Raises: Missing, Forbidden.
    """
    app = App.objects.select_related("owner").filter(name=name).first()
    if app is None:
        raise Missing("App")
    if user.is_superuser or app.owner_id == user.pk:
        return app
    if right != OWN and Collaborator.objects.filter(app=app, user=user).exists():
        return app
    raise Forbidden()


def require_admin(user: User) -> None:
    if not user.is_superuser:
        raise Forbidden()
