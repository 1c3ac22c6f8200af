"""A cluster in memory under the controller's `Cluster` contract: Deployments get pods at once, and what the image's
name says happens to them. `IMAGE@crash:1`-like endings aside, everything becomes ready.

It keeps what was applied, so that tests assert on objects rather than calls.
"""

import copy
import importlib
import itertools
import pkgutil
import queue
import threading
from datetime import UTC, datetime

import controller.actions
from controller.cluster.client import ClusterError

NEVER = object()


class MemoryWatch:
    def __init__(self):
        self.events = queue.Queue()

    def __iter__(self):
        while (event := self.events.get()) is not NEVER:
            yield event

    def close(self):
        self.events.put(NEVER)


class MemoryCluster:
    def __init__(self, nodes=({"name": "node-1", "labels": {"disk": "ssd"}},)):
        self._lock = threading.RLock()
        self._objects = {}
        self._revision = itertools.count(1)
        self._watches = []
        self.applied = []
        self.fates = {}  # image -> containerStatuses entry, or "silent", or a PodScheduled message
        self.outputs = {}  # pod type -> log text
        self.run_result = (0, "ran\n")
        self.commands = {}  # type of a Job -> its exit code, or "hangs"; others end with 0
        self.down = False
        for node in nodes:
            self._put({"kind": "Node", "metadata": {"name": node["name"], "labels": node["labels"]}})

    def all(self, kind, namespace=None):
        with self._lock:
            found = [o for (k, n, _), o in self._objects.items() if k == kind and namespace in (None, n)]
            return copy.deepcopy(found)

    def apply(self, manifest):
        with self._lock:
            self.applied.append(copy.deepcopy(manifest))
            meta = manifest["metadata"]
            namespace = meta.get("namespace")
            if namespace and ("Namespace", None, namespace) not in self._objects:
                raise ClusterError(404, "NotFound", f'namespaces "{namespace}" not found')
            old = self._objects.get((manifest["kind"], namespace, meta["name"]))
            new = copy.deepcopy(manifest)
            if manifest["kind"] == "Deployment":
                self._run(old, new)
            self._put(new)
            if manifest["kind"] == "Job" and old is None:
                self._begin(new)
            return new

    def create(self, manifest):
        with self._lock:
            pod = copy.deepcopy(manifest)
            code, _ = self.run_result
            pod["metadata"]["creationTimestamp"] = _now()
            ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
            pod["status"] = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"restartCount": 0, "state": {"terminated": ended}}],
            }
            self._put(pod)
            return pod

    def get(self, kind, namespace, name):
        with self._lock:
            return copy.deepcopy(self._objects.get((kind, namespace, name)))

    def list(self, kind, namespace, labels="", fields=""):
        with self._lock:
            return [o for o in self.all(kind, namespace) if _matches(o, labels)], str(next(self._revision))

    def delete(self, kind, namespace, name, grace=None):
        with self._lock:
            gone = self._objects.pop((kind, namespace, name), None)
            if gone is None:
                return
            if kind == "Namespace":
                for key in [k for k in self._objects if k[1] == name]:
                    del self._objects[key]
            if kind == "Deployment":
                self._drop_pods(gone)
            if kind == "Job":
                for pod in self.all("Pod", namespace):
                    if pod["metadata"]["labels"].get("job-name") == name:
                        self.delete("Pod", namespace, pod["metadata"]["name"])
            if kind == "Pod":
                self._tell("DELETED", gone)
                for deployment in self.all("Deployment", namespace):
                    if deployment["spec"]["selector"]["matchLabels"]["type"] == gone["metadata"]["labels"]["type"]:
                        self._fill(deployment)

    def watch(self, kind, namespace, since, labels="", seconds=60):
        with self._lock:
            watch = MemoryWatch()
            self._watches.append((kind, namespace, labels, watch))
            for item in self.list(kind, namespace, labels)[0]:
                watch.events.put(("MODIFIED", item))
            return watch

    def logs(self, namespace, pod, **options):
        with self._lock:
            found = self._objects.get(("Pod", namespace, pod))
            if found is None:
                raise ClusterError(404, "NotFound", f'pods "{pod}" not found')
            kind = found["metadata"]["labels"]["type"]
            return self.run_result[1] if kind == "run" else self.outputs.get(kind, "")

    def follow_logs(self, namespace, pod, **options):
        watch = MemoryWatch()
        for line in self.logs(namespace, pod).splitlines():
            watch.events.put(line.encode())
        if self.get("Pod", namespace, pod)["status"]["phase"] in ("Succeeded", "Failed"):
            watch.close()
        return watch

    def _put(self, item):
        meta = item["metadata"]
        meta["resourceVersion"] = str(next(self._revision))
        self._objects[item["kind"], meta.get("namespace"), meta["name"]] = item
        self._tell("MODIFIED", item)

    def _tell(self, event, item):
        for kind, namespace, labels, watch in self._watches:
            if (
                kind == item["kind"]
                and namespace in (None, item["metadata"].get("namespace"))
                and _matches(item, labels)
            ):
                watch.events.put((event, copy.deepcopy(item)))

    def _run(self, old, new):
        """Replaces the pods of `old` by those of `new`, unless the new ones can't become ready."""
        generation = (old["metadata"].get("generation", 1) + 1) if old else 1
        new["metadata"]["generation"] = generation
        image = new["spec"]["template"]["spec"]["containers"][0]["image"]
        self._drop_pods(new, failed_only=image in self.fates)
        self._fill(new)
        up = 0 if image in self.fates else new["spec"]["replicas"]
        new["status"] = {
            "observedGeneration": generation,
            "replicas": new["spec"]["replicas"],
            "updatedReplicas": new["spec"]["replicas"],
            "readyReplicas": up,
            "availableReplicas": up,
        }

    def _begin(self, job):
        """The pod of a Job, which ends as `commands` says."""
        template, meta = job["spec"]["template"], job["metadata"]
        result = self.commands.get(meta["labels"]["type"], 0)
        pod = copy.deepcopy({"kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]})
        pod["metadata"]["labels"]["job-name"] = meta["name"]
        pod["metadata"] |= {
            "name": f"{meta['name']}-{next(self._revision):05d}",
            "namespace": meta["namespace"],
            "creationTimestamp": _now(),
        }
        ended = {"terminated": {"exitCode": result, "reason": "Error" if result else "Completed"}}
        pod["status"] = {
            "phase": "Running" if result == "hangs" else "Failed" if result else "Succeeded",
            "containerStatuses": [{"restartCount": 0, "state": {"running": {}} if result == "hangs" else ended}],
        }
        self._put(pod)

    def _fill(self, deployment):
        template, meta = deployment["spec"]["template"], deployment["metadata"]
        image = template["spec"]["containers"][0]["image"]
        mine = [
            p for p in self.all("Pod", meta["namespace"]) if p["metadata"]["labels"] == template["metadata"]["labels"]
        ]
        for _ in range(deployment["spec"]["replicas"] - len(mine)):
            number = next(self._revision)
            pod = copy.deepcopy({"kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]})
            pod["metadata"] |= {
                "name": f"{meta['name']}-{number + 10_000_000:08d}-{number:05d}",
                "namespace": meta["namespace"],
                "creationTimestamp": _now(),
            }
            pod["status"] = self._status(image)
            self._put(pod)

    def _status(self, image):
        fate = self.fates.get(image)
        if fate is None or fate == "silent":
            ready = "False" if fate else "True"
            state = {"restartCount": 0, "state": {"running": {}}}
            return {
                "phase": "Running",
                "startTime": _now(),
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [state],
            }
        if isinstance(fate, str):
            return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": fate}]}
        return {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [fate]}

    def _drop_pods(self, deployment, failed_only=False):
        labels = deployment["spec"]["selector"]["matchLabels"]
        for pod in self.all("Pod", deployment["metadata"]["namespace"]):
            of_it = all(pod["metadata"]["labels"].get(k) == v for k, v in labels.items())
            if of_it and not (failed_only and pod["status"]["conditions"][0]["status"] == "True"):
                self._objects.pop(("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]))
                self._tell("DELETED", pod)


def _matches(item, selector):
    labels = item["metadata"].get("labels") or {}
    return all(labels.get(k) == v for k, _, v in (term.partition("=") for term in selector.split(",") if term))


def _now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def put_in_place(monkeypatch, cluster):
    """Has everything in `controller.actions` ask `cluster`."""
    for found in pkgutil.iter_modules(controller.actions.__path__):
        module = importlib.import_module(f"controller.actions.{found.name}")
        if hasattr(module, "cluster"):
            monkeypatch.setattr(module, "cluster", lambda: cluster)
