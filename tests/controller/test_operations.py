"""What survives workers and requests that die: claims, recovery, the end of patience."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from controller.actions import carry_out, operations
from controller.models import Operation, Release


@pytest.fixture
def sent(monkeypatch):
    """The operations handed to workers, which don't carry them out."""
    handed = []
    monkeypatch.setattr(operations, "enqueue", lambda task, *args: handed.append(args[0]))
    return handed


@pytest.fixture
def operation(live, sent):
    release = Release.objects.get(app__name="blue", version=2)
    return Operation.objects.create(
        app=release.app, release=release, by=release.owner, kind="deploy", structure_before={"web": 1}
    )


def age(operation, seconds):
    moment = timezone.now() - timedelta(seconds=seconds)
    Operation.objects.filter(pk=operation.pk).update(heartbeat=moment, created=moment)


def test_one_worker_of_two_gets_an_operation(operation):
    assert operations.claim(operation.pk, "a:1:1") is not None
    assert operations.claim(operation.pk, "b:1:1") is None


def test_an_operation_in_good_hands_is_left_there(operation, sent):
    operations.claim(operation.pk, operations.this_runner())
    operations.recover()
    assert sent == []


def test_an_operation_whose_worker_died_here_is_sent_at_once(operation, sent):
    operations.claim(operation.pk, operations.this_runner().rsplit(":", 1)[0] + ":0")
    operations.recover()
    assert sent == [operation.pk]
    assert operations.claim(operation.pk, "b:1:1").attempts == 2


def test_an_operation_of_a_silent_worker_elsewhere_is_sent_after_a_while(operation, sent, settings):
    operations.claim(operation.pk, "elsewhere:1:1")
    operations.recover()
    assert sent == []
    age(operation, settings.ABANDONED_AFTER + 1)
    operations.recover()
    assert sent == [operation.pk]


def test_a_lost_message_is_sent_again(operation, sent, settings):
    operations.recover()
    assert sent == []
    age(operation, settings.RECOVERY_PERIOD + 1)
    operations.recover()
    assert sent == [operation.pk]


def test_a_resumed_deploy_ends_like_any_other(operation, cluster):
    operations.claim(operation.pk, "elsewhere:1:1")
    age(operation, 60)
    carry_out.carry_out(operation.pk)
    operation.refresh_from_db()
    assert operation.state == "succeeded"


def test_a_worker_that_lost_its_claim_changes_nothing(operation, monkeypatch):
    def usurped(api, row, pulse):
        Operation.objects.filter(pk=row.pk).update(runner="other:1:1")
        pulse.tick()

    monkeypatch.setattr(carry_out, "bring_about", usurped)
    carry_out.carry_out(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.runner) == ("running", "other:1:1")


def test_what_outlives_too_many_workers_is_given_up(operation, settings):
    Operation.objects.filter(pk=operation.pk).update(attempts=settings.MAX_ATTEMPTS)
    carry_out.carry_out(operation.pk)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert operation.message == "given up: 4 workers in a row ended during it"


def test_waiting_ends_with_a_reason_when_no_worker_lives(operation):
    age(operation, operations.UNCLAIMED_AFTER + 1)
    with pytest.raises(operations.OperationFailed, match="is controller-worker running"):
        operations.wait(operation)
    assert Release.objects.get(pk=operation.release_id).failed is True


def test_waiting_goes_on_while_workers_are_busy_with_others(operation, bob):
    bob.post("/v2/apps/", {"id": "green"})
    other = Release.objects.get(app__name="green", version=1)
    Operation.objects.create(app=other.app, release=other, by=other.owner, kind="deploy", state="running", runner="x")
    age(operation, operations.UNCLAIMED_AFTER + 1)
    assert operations.call_off_if_dead(operation) is False


def test_a_bug_in_the_worker_fails_the_operation_in_words(operation, monkeypatch):
    def broken(api, row, pulse):
        raise ZeroDivisionError

    monkeypatch.setattr(carry_out, "bring_about", broken)
    carry_out.carry_out(operation.pk)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert operation.message == "the controller failed (ZeroDivisionError); its log says more"


def test_a_process_knows_itself_from_a_successor_with_its_number():
    assert operations.is_gone(operations.this_runner()) is False
    host, pid, _ = operations.this_runner().rsplit(":", 2)
    assert int(pid) == os.getpid()
    assert operations.is_gone(f"{host}:{pid}:1") is True
    assert operations.is_gone("another-host:1:1") is False
