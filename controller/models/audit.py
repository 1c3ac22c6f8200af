"""Who did what from where. Rows are only ever added: triggers in the database refuse anything else.

An entry is written before the deed, its outcome after it; an entry without one was cut off in between.
The tables belong to nobody's cascade, so names stand here as text. `managed` is off so that emptying a test
database, which the triggers would refuse, passes them by; migration `audit_trail` makes them.
"""

from django.db import models
from django.utils import timezone


class AuditEntry(models.Model):
    time = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=150)
    via = models.CharField(max_length=120)  # login, token NAME, dashboard, git push
    address = models.CharField(max_length=64)
    action = models.CharField(max_length=300)  # method and path, or what was done
    app = models.CharField(max_length=63, blank=True, default="")
    detail = models.JSONField(default=dict)  # what was sent, without what may be secret

    class Meta:
        managed = False
        db_table = "controller_auditentry"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("app", "id"), name="audit_of_an_app"),
            models.Index(fields=("actor", "id"), name="audit_of_a_person"),
        )


class AuditOutcome(models.Model):
    entry = models.OneToOneField(AuditEntry, on_delete=models.DO_NOTHING, related_name="outcome")
    status = models.PositiveIntegerField()  # as HTTP has it
    time = models.DateTimeField(default=timezone.now)

    class Meta:
        managed = False
        db_table = "controller_auditoutcome"
