from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.objects import quantity

SUFFIXES = {
    "n": "1e-9",
    "u": "1e-6",
    "m": "1e-3",
    "": "1",
    "k": "1e3",
    "M": "1e6",
    "G": "1e9",
    "Ki": "1024",
    "Mi": "1048576",
    "Gi": "1073741824",
    "e3": "1e3",
}
TEXTS = st.tuples(
    st.sampled_from(["", "-", "+"]),
    st.decimals(min_value=0, max_value=99999, places=3),
    st.sampled_from(list(SUFFIXES)),
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("100m", "100m"),
        ("0.1", "100m"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1e3", "1e3"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1000k", "1M"),
        ("0", "0"),
        ("0.5Gi", "512Mi"),
        (".5", "500m"),
        ("5.", "5"),
        ("1Ki", "1Ki"),
        ("512", "512"),
        ("-1", "-1"),
        ("0.0000000001", "1n"),
        ("12E6", "12e6"),
        (1, "1"),
        (0.5, "500m"),
        ("1.1Gi", "1181116006400m"),
    ],
)
def test_quantities_are_written_back_as_kubernetes_writes_them(text, canonical):
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "1.2.3", "1x", "Gi", "1 Gi", "--1", "1e", "0x1", "one", "1GiB", "²"])
def test_what_is_no_quantity_is_refused_with_the_pattern(text):
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse_quantity(text)


@given(TEXTS)
def test_canonical_form_keeps_the_value_and_is_stable(parts):
    sign, number, suffix = parts
    text = f"{sign}{number}{suffix}"
    exact = Decimal(number) * Decimal(SUFFIXES[suffix]) * (-1 if sign == "-" else 1)
    parsed = quantity.parse_quantity(text)
    error = abs(parsed.nanos) - abs(exact * quantity.NANO)
    assert 0 <= error < 1, "rounded away from zero, by less than a nano"
    written = quantity.canonical(text)
    assert quantity.parse_quantity(written).nanos == parsed.nanos
    assert quantity.canonical(written) == written


@given(st.lists(st.integers(0, 10**6), max_size=6))
def test_sums_are_exact(amounts):
    assert quantity.millis(quantity.total(f"{amount}m" for amount in amounts)) == sum(amounts)


def test_units_round_up_and_compare_exactly():
    assert quantity.millis("0.0001") == 1
    assert quantity.whole("1.5") == 2
    assert quantity.whole("1Gi") == 2**30
    assert quantity.compare("1Gi", "1024Mi") == 0
    assert quantity.compare("1G", "1Gi") < 0
