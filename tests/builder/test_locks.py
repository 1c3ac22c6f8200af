import pytest

from builder.errors import PushRefused
from builder.locks import AppLocks


def test_the_second_push_hears_who_holds_the_app_and_others_go_on():
    locks = AppLocks()
    with locks.hold("hello", "anna"):
        with (
            pytest.raises(PushRefused, match=r"anna is pushing hello since \d\d:\d\d:\d\d UTC"),
            locks.hold("hello", "bob"),
        ):
            raise AssertionError("two hold it")
        with locks.hold("other", "bob"):
            assert locks.held().keys() == {"hello", "other"}
    assert locks.held() == {}


def test_a_push_that_breaks_lets_go():
    locks = AppLocks()
    with pytest.raises(RuntimeError), locks.hold("hello", "anna"):
        raise RuntimeError
    with locks.hold("hello", "bob"):
        assert locks.held()["hello"].user == "bob"
