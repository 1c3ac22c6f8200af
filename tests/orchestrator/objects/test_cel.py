import pytest

from orchestrator.objects.cel import CelError, CelSyntaxError, compile_rule

SELF = {
    "replicas": 3,
    "min": 1,
    "ratio": 0.5,
    "name": "web-1",
    "x-y": "dash",
    "namespace": "ns",
    "items": [{"n": 1, "k": "a"}, {"n": 2, "k": "b"}],
    "labels": {"app": "web", "tier": "front"},
    "set": ["a", "b"],
    "size": "1Gi",
    "empty": [],
}


def run(text, **variables):
    return compile_rule(text).evaluate({"self": SELF, **variables})


@pytest.mark.parametrize(
    "text",
    [
        "self.min <= self.replicas && self.replicas < 10",
        "self.replicas + 1 == 4 && -self.replicas == -3 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1",
        "self.ratio * 2.0 == 1.0 && self.ratio < 1",
        "self.name.startsWith('web') && self.name.endsWith(\"1\") && self.name.contains('-') && "
        "self.name.matches('^web-[0-9]+$')",
        "self.name.split('-') == ['web', '1'] && self.name.size() == 5 && size(self.items) == 2",
        "self.name.replace('web', 'api') == 'api-1' && self.name.substring(0, 3) == 'web' && "
        "self.name.indexOf('-') == 3",
        "self.x__dash__y == 'dash' && self.__namespace__ == 'ns'",
        "has(self.name) && !has(self.missing)",
        "self.items.all(i, i.n > 0) && self.items.exists(i, i.n == 2) && self.items.exists_one(i, i.k == 'a')",
        "self.items.map(i, i.n) == [1, 2] && self.items.filter(i, i.n > 1).size() == 1 && "
        "self.items.map(i, i.n > 1, i.k) == ['b']",
        "self.items.map(i, i.n).sum() == 3 && self.items.map(i, i.n).max() == 2 && [1, 2].isSorted()",
        "self.labels.all(k, k.size() > 2) && self.labels['app'] == 'web' && 'tier' in self.labels && "
        "!('x' in self.labels)",
        "self.labels.all(k, v, k != v) && self.set.exists(i, v, i == 1 && v == 'b')",
        "'a' in self.set && self.set == ['a', 'b'] && self.set.join('+') == 'a+b'",
        "self.replicas > 2 ? true : false",
        "false && self.missing == 1 ? false : true",
        "self.missing == 1 || true",
        "self.?missing.orValue(5) == 5 && self.?name.hasValue() && self.labels[?'no'].orValue('x') == 'x'",
        "self.?replicas.optMap(r, r * 2).orValue(0) == 6",
        "'%s has %d of %.1f%%, %x'.format([self.name, self.replicas, self.ratio, 255]) == 'web-1 has 3 of 0.5%, ff' && "
        "'%s %s %s'.format([self.set, {'a': true}, null]) == '[a, b] {a: true} null'",
        "quantity(self.size).isGreaterThan(quantity('500Mi')) && "
        "quantity('1').add(quantity('500m')).compareTo(quantity('1500m')) == 0",
        "isURL('https://example.com/x') && url('https://example.com:80/x').getHostname() == 'example.com' && "
        "!isURL('nope')",
        "isIP('10.0.0.1') && cidr('10.0.0.0/8').containsIP('10.1.2.3') && ip('10.0.0.1').family() == 4",
        "duration('1h30m') > duration('89m') && timestamp('2026-01-02T00:00:00Z') > timestamp('2026-01-01T00:00:00Z')",
        "type(self.replicas) == int && type(self.name) == string && int('5') == 5 && string(5) == '5' && "
        "double(1) == 1.0",
        "{'a': 1}['a'] == 1 && [1, 2][1] == 2 && [1] + [2] == [1, 2]",
        "r'\\d' == '\\\\d' && \"\\u0041\" == 'A' && '''x'y''' == \"x'y\"",
        "sets.contains(['a', 'b'], ['a']) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 2], [2, 1])",
        "self.replicas == 3.0 && 1 != 'a' && null == null // a comment",
        "oldSelf.replicas < self.replicas",
    ],
)
def test_rules_hold(text):
    assert run(text, oldSelf={"replicas": 1}) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("self.missing == 1", "no such key: missing"),
        ("self.name < 3", "no such overload"),
        ("self.name + 1 == 'x'", "no such overload"),
        ("1 / 0 == 1", "division by zero"),
        ("9223372036854775807 + 1 > 0", "overflow"),
        ("self.items[7].n == 1", "index out of bounds: 7"),
        ("self.name", None),
        ("'x'.matches('(')", "invalid regular expression"),
        ("self.replicas.startsWith('x')", "no such overload"),
        ("self.items.map(a, self.items.map(b, self.items.map(c, " * 6 + "1" + ")))" * 6 + " == []", "too many steps"),
    ],
)
def test_rules_that_go_wrong_say_why(text, message):
    if message is None:
        assert run(text) == "web-1"
        return
    with pytest.raises(CelError, match=message):
        run(text)


@pytest.mark.parametrize(
    "text",
    [
        "self.",
        "self.a ==",
        "(self",
        "[1, 2",
        "self.a && ",
        "unknown.x",
        "foo(self)",
        "self.a.explode()",
        "has(self)",
        "a b",
        "'open",
        "if(true)",
        "self.items.all(i, j.n > 0)",
        "",
        "{1: }",
        "self ? 1",
        "#",
    ],
)
def test_what_does_not_compile_is_refused(text):
    with pytest.raises(CelSyntaxError):
        compile_rule(text)


def test_a_rule_knows_whether_it_looks_at_the_past():
    assert compile_rule("self.a == oldSelf.a").uses_old
    assert not compile_rule("self.oldSelf == 1").uses_old
