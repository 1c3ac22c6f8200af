"""Reading node and pod affinity. Source: kubernetes component-helpers scheduling/corev1/nodeaffinity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.objects.selectors import EVERYTHING, NOTHING, LabelSelector, label_selector_from_object

NamespaceLabels = Callable[[str], Mapping[str, str]]


def matches_node_terms(terms: Sequence[Mapping[str, Any]], name: str, labels: Mapping[str, str]) -> bool:
    """Any term, all of its expressions; an empty term matches nothing."""
    return any(matches_node_term(term, name, labels) for term in terms)


def matches_node_term(term: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": name}
    return all(_holds(one, labels) for one in expressions) and all(_holds(one, names) for one in fields)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                number, bound = int(value or ""), int(next(iter(values), ""))
            except ValueError:
                return False
            return number > bound if operator == "Gt" else number < bound
    return False


@dataclass(frozen=True, slots=True)
class PodTerm:
    """One term of pod affinity or anti-affinity."""

    selector: LabelSelector
    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: LabelSelector
    weight: int = 0

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: NamespaceLabels) -> bool:
        if namespace not in self.namespaces:
            if self.namespace_selector.nothing:
                return False
            if not self.namespace_selector.matches(namespace_labels(namespace)):
                return False
        return self.selector.matches(labels)


def read_terms(
    terms: Sequence[Mapping[str, Any]] | None, namespace: str, labels: Mapping[str, str]
) -> tuple[PodTerm, ...]:
    return tuple(_read_term(term, namespace, labels) for term in terms or ())


def read_weighted(
    terms: Sequence[Mapping[str, Any]] | None, namespace: str, labels: Mapping[str, str], sign: int = 1
) -> tuple[PodTerm, ...]:
    return tuple(
        _read_term(term["podAffinityTerm"], namespace, labels, sign * int(term["weight"])) for term in terms or ()
    )


def _read_term(term: Mapping[str, Any], namespace: str, labels: Mapping[str, str], weight: int = 0) -> PodTerm:
    namespaces, by_label = term.get("namespaces") or (), term.get("namespaceSelector")
    if not namespaces and by_label is None:
        namespaces = (namespace,)
    namespace_selector = NOTHING
    if by_label is not None:
        namespace_selector = label_selector_from_object(by_label) if by_label else EVERYTHING
    return PodTerm(
        selector=with_label_keys(term, labels),
        topology_key=term["topologyKey"],
        namespaces=frozenset(namespaces),
        namespace_selector=namespace_selector,
        weight=weight,
    )


def with_label_keys(term: Mapping[str, Any], labels: Mapping[str, str]) -> LabelSelector:
    """The selector, narrowed by `matchLabelKeys` to pods with the same values as the incoming one."""
    selector: dict[str, Any] | None = term.get("labelSelector")
    keys = [key for key in term.get("matchLabelKeys") or () if key in labels]
    foreign = [key for key in term.get("mismatchLabelKeys") or () if key in labels]
    if selector is None or not (keys or foreign):
        return label_selector_from_object(selector)
    expressions = list(selector.get("matchExpressions") or ())
    expressions += [{"key": key, "operator": "In", "values": [labels[key]]} for key in keys]
    expressions += [{"key": key, "operator": "NotIn", "values": [labels[key]]} for key in foreign]
    return label_selector_from_object({**selector, "matchExpressions": expressions})
