"""Ways to spoil an object, and the refusal it then meets."""

import copy

import pytest

from orchestrator import errors


def refusal(call, *args, **options):
    with pytest.raises(errors.Invalid) as refused:
        call(*args, **options)
    return refused.value


def set_at(obj, path, value):
    *parents, last = path.split(".")
    for key in parents:
        obj = obj[int(key)] if key.isdigit() else obj.setdefault(key, {})
    if isinstance(obj, list):
        obj[int(last)] = value
    else:
        obj[last] = value


def changed(obj, path, value):
    obj = copy.deepcopy(obj)
    set_at(obj, path, value)
    return obj
