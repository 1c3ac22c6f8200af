from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from controller.tasks.operations import tidy


def test_tidying_forgets_expired_sessions_and_keeps_the_others(admin):
    kept = Session.objects.get()
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1))
    tidy()
    assert list(Session.objects.all()) == [kept]
    assert admin.get("/").status_code == 200
