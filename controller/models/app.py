"""Apps, who may use them, and how they are reached."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified
from controller.models.roles import COLLABORATOR


class App(Identified):
    """An app. `name` is what the API calls `id`."""

    name = models.CharField(max_length=63, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="apps")
    structure = models.JSONField(default=dict)  # wished processes: type -> count
    procfile_structure = models.JSONField(default=dict)
    stopped = models.JSONField(default=dict)  # type -> how many ran before `ps:stop`
    restarts = models.JSONField(default=dict)  # type -> time of the last wished restart
    unsynced = models.BooleanField(default=False, db_index=True)  # the cluster has yet to hear of a change

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def current_release(self):
        """The newest release that didn't fail."""
        return (
            self.releases.filter(failed=False)
            .select_related("config", "build", "build__owner", "owner")
            .order_by("-version")
            .first()
        )


class Collaborator(models.Model):
    """A person who was given a role on an app by name; Deis knows one role, `collaborator`."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="collaborators")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="collaborations")
    role = models.CharField(max_length=20, default=COLLABORATOR)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("app", "user"), name="one_entry_per_collaborator"),)


class AppSettings(Identified):
    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="settings")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    maintenance = models.BooleanField(default=False)
    routable = models.BooleanField(default=True)
    whitelist = models.JSONField(default=list)
    autoscale = models.JSONField(default=dict)
    label = models.JSONField(default=dict)
    build = models.JSONField(default=dict)  # how source is built: root, paths, submodules (actions/build_settings.py)
    deploy = models.JSONField(default=dict)  # how releases go live (actions/deploy_rules.py); only what was set


class TLS(Identified):
    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="tls")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    https_enforced = models.BooleanField(null=True, default=None)
