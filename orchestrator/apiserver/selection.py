"""Label and field selectors of one request, and the field by which the store can index a watch for them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.selectors import FieldSelector, LabelSelector, parse_field_selector, parse_label_selector
from orchestrator.store.watch import FieldIs

_INDEXED = ("metadata.name", "spec.nodeName")


@dataclass(frozen=True, slots=True)
class Selection:
    namespace: str = ""
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None

    @property
    def is_everything(self) -> bool:
        return self.labels is None and self.fields is None

    def matches(self, obj: Obj) -> bool:
        meta = obj["metadata"]
        if self.namespace and meta.get("namespace") != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(meta.get("labels") or {}):
            return False
        return self.fields is None or self.fields.matches(obj)

    def index(self) -> FieldIs | None:
        exact = self.fields.exact if self.fields is not None else {}
        for path in _INDEXED:
            if exact.get(path):
                return FieldIs(path, exact[path])
        return FieldIs("metadata.namespace", self.namespace) if self.namespace else None


def select(resource: Resource, namespace: str, label_selector: str, field_selector: str) -> Selection:
    """Raises: BadRequest when a selector cannot be read."""
    return Selection(
        namespace if resource.namespaced else "",
        parse_label_selector(label_selector) if label_selector else None,
        parse_field_selector(resource, field_selector) if field_selector else None,
    )
