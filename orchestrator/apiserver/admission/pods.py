"""What every pod gets: a service account with its token, a priority, patience with short node outages.

Source: kubernetes plugin/pkg/admission/{serviceaccount,priority,defaulttolerationseconds}.
"""

from __future__ import annotations

from typing import Any

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.naming import random_suffix
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_VOLUME = "kube-api-access-"
_TOKEN_SECONDS = 3607
_OUTAGE_SECONDS = 300
_OUTAGE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def set_service_account(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj["spec"]
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    record = api.store.latest(kinds.SERVICEACCOUNTS.storage_key, Key(call.namespace, name))
    if record is None:
        raise refusals.forbidden(
            call.resource,
            obj["metadata"].get("name", ""),
            f'error looking up service account {call.namespace}/{name}: serviceaccount "{name}" not found',
        )
    account = record.obj
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken", True)
    if wanted:
        _mount_token(spec)


def _mount_token(spec: dict[str, Any]) -> None:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    without = [c for c in containers if all(m.get("mountPath") != _TOKEN_FOLDER for m in c.get("volumeMounts") or ())]
    if not without:
        return
    volumes = spec.setdefault("volumes", [])
    name = next((v["name"] for v in volumes if str(v.get("name")).startswith(_TOKEN_VOLUME)), "")
    if not name:
        name = _TOKEN_VOLUME + random_suffix()
        volumes.append(_token_volume(name))
    for container in without:
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_FOLDER}
        container.setdefault("volumeMounts", []).append(mount)


def _token_volume(name: str) -> dict[str, Any]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace]}},
            ],
        },
    }


def set_priority(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj["spec"]
    name = spec.get("priorityClassName")
    if name:
        record = api.store.latest(kinds.PRIORITYCLASSES.storage_key, Key("", name))
        if record is None:
            raise refusals.forbidden(
                call.resource, obj["metadata"].get("name", ""), f"no PriorityClass with name {name} was found"
            )
        found: Obj | None = record.obj
    else:
        classes = [r.obj for r in api.store.list(kinds.PRIORITYCLASSES.storage_key) if r.obj.get("globalDefault")]
        found = min(classes, key=lambda c: c.get("value", 0)) if classes else None
        if found is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
    value = int(found.get("value", 0)) if found else 0
    if spec.get("priority") not in (None, value):
        raise refusals.forbidden(
            call.resource,
            obj["metadata"].get("name", ""),
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name",
        )
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", (found or {}).get("preemptionPolicy") or "PreemptLowerPriority")


def tolerate_short_outages(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Five minutes on a node that is not ready or not reachable, unless the pod says otherwise."""
    tolerations = obj["spec"].setdefault("tolerations", [])
    for taint in _OUTAGE_TAINTS:
        said = any(
            t.get("key") in (taint, None, "") and t.get("effect") in ("NoExecute", None, "") for t in tolerations
        )
        if not said:
            tolerations.append(
                {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _OUTAGE_SECONDS}
            )
