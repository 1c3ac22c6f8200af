import orjson
import pytest

from orchestrator.objects.bodies import BadYaml, json_duplicates, load_yaml


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (b'{"a": 1, "b": [{"c": 1}]}', []),
        (b'{"spec" : {"replicas" : 2, "replicas" :3}}', ["spec.replicas"]),
        (b'{"a": {"b": 1, "b": 2, "b": 3}, "l": [{}, {"c": 1, "c": 1}]}', ["a.b", "l[1].c"]),
        (b'{"note": "says \\"x\\": \\"y\\"", "last": "{\\"a\\":1,\\"a\\":1}"}', []),
        (b"[]", []),
    ],
)
def test_doubled_json_keys_are_found_by_path(text, paths):
    assert json_duplicates(text, orjson.loads(text)) == [f'duplicate field "{path}"' for path in paths]


def test_a_document_too_deep_to_write_back_is_refused():
    text = b"[" * 500 + b"]" * 500
    with pytest.raises(ValueError, match="nested too deeply"):
        json_duplicates(text, orjson.loads(text))


def test_doubled_yaml_keys_are_found_by_line():
    text = b"spec:\n  foo: 1\n  list:\n  - a: 1\n    a: 2\n  foo: 2\n"
    value, problems = load_yaml(text)
    assert problems == ['line 5: key "a" already set in map', 'line 6: key "foo" already set in map']
    assert value == {"spec": {"foo": 2, "list": [{"a": 2}]}}
    assert load_yaml(b"a: 1\nb: {a: 1}\n")[1] == []


def test_dates_stay_text_and_aliases_are_followed():
    value, _ = load_yaml(b"a: 2026-01-01T00:00:00Z\nb: &x {c: 1}\nd: *x\n")
    assert value == {"a": "2026-01-01T00:00:00Z", "b": {"c": 1}, "d": {"c": 1}}
    assert load_yaml(b"") == (None, [])


def test_a_bomb_of_aliases_is_refused():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
    with pytest.raises(BadYaml, match="once its aliases are followed"):
        load_yaml(f"l0: &l0 [1]\n{levels}\n".encode())


@pytest.mark.parametrize(
    "text", [b"a: [", b"a: b: c", b"\x00", b"!!python/object/apply:os.system [x]", b"[" * 5000, b"a: 1\n---\nb: 2\n"]
)
def test_what_is_no_single_plain_document_is_refused(text):
    with pytest.raises(BadYaml):
        load_yaml(text)
