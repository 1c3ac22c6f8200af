from orchestrator.objects.kinds import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES
from orchestrator.reconcilers.volumes import ClaimReconciler, VolumeReconciler
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.world import plane, pod

PARTS = (ClaimReconciler, VolumeReconciler, Scheduler)


def claim(size="1Gi", **spec):
    return {
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }


def volume(name, size, **spec):
    return {
        "metadata": {"name": name},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
                 "hostPath": {"path": "/x"}, "persistentVolumeReclaimPolicy": "Retain", **spec},
    }  # fmt: skip


MANUAL = {"metadata": {"name": "manual"}, "provisioner": "kubernetes.io/no-provisioner"}


def user(name="a"):
    return pod(name, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])


async def the_claim(world):
    return await world.api.get(PERSISTENTVOLUMECLAIMS, "data", "default")


async def test_a_claim_waits_for_its_pod_and_gets_a_folder_on_the_pods_node():
    async with plane(*PARTS) as world:
        await world.add_node("n1")
        await world.api.create(PERSISTENTVOLUMECLAIMS, claim())
        await world.settle()
        found = await the_claim(world)
        assert found["spec"]["storageClassName"] == "local" and "volumeName" not in found["spec"]
        assert world.events("WaitForFirstConsumer")
        await world.api.create(PODS, user())
        await world.settle()
        found = await the_claim(world)
        assert found["status"]["phase"] == "Bound" and found["status"]["capacity"] == {"storage": "1Gi"}
        (made,) = world.api.peek(PERSISTENTVOLUMES)
        assert made["spec"]["claimRef"]["uid"] == found["metadata"]["uid"] and made["status"]["phase"] == "Bound"
        assert made["spec"]["local"]["path"].endswith(f"/volumes/pvc-{found['metadata']['uid']}")
        assert world.pods()[0]["spec"]["nodeName"] == "n1"


async def test_a_pod_follows_its_bound_volume():
    async with plane(*PARTS) as world:
        await world.add_node("n1")
        await world.api.create(PERSISTENTVOLUMECLAIMS, claim())
        await world.api.create(PODS, user())
        await world.settle()
        await world.api.delete(PODS, "a", "default", grace_period=0)
        await world.add_node("n2", cpu="64", memory="256Gi")
        await world.api.create(PODS, user("b"))
        await world.settle()
        assert world.pods()[0]["spec"]["nodeName"] == "n1"


async def test_the_smallest_volume_that_does_is_taken():
    async with plane(ClaimReconciler, VolumeReconciler) as world:
        await world.api.create(STORAGECLASSES, MANUAL)
        for name, size in (("big", "10Gi"), ("small", "500Mi"), ("right", "2Gi")):
            await world.api.create(PERSISTENTVOLUMES, volume(name, size))
        await world.settle()
        await world.api.create(PERSISTENTVOLUMECLAIMS, claim(storageClassName="manual"))
        await world.settle()
        assert (await the_claim(world))["spec"]["volumeName"] == "right"


async def test_a_claim_in_use_stays_until_its_pod_is_gone_and_a_retained_volume_is_released():
    async with plane(ClaimReconciler, VolumeReconciler) as world:
        await world.api.create(STORAGECLASSES, MANUAL)
        await world.api.create(PERSISTENTVOLUMES, volume("v", "2Gi"))
        await world.settle()
        await world.api.create(PERSISTENTVOLUMECLAIMS, claim(storageClassName="manual"))
        await world.api.create(PODS, user())
        await world.settle()
        await world.api.delete(PERSISTENTVOLUMECLAIMS, "data", "default")
        await world.settle()
        assert (await the_claim(world))["metadata"]["deletionTimestamp"]
        await world.api.delete(PODS, "a", "default", grace_period=0)
        await world.settle()
        assert not world.api.peek(PERSISTENTVOLUMECLAIMS)
        assert world.api.peek(PERSISTENTVOLUMES)[0]["status"]["phase"] == "Released"


async def test_a_local_volume_goes_with_its_claim_and_its_data_too(tmp_path):
    async with plane(*PARTS) as world:
        world.parts[0].root = world.parts[1].root = type(world.parts[0].root)(tmp_path / "volumes")
        await world.add_node("n1")
        await world.api.create(PERSISTENTVOLUMECLAIMS, claim())
        await world.api.create(PODS, user())
        await world.settle()
        (made,) = world.api.peek(PERSISTENTVOLUMES)
        folder = tmp_path / "volumes" / made["metadata"]["name"]
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        await world.api.delete(PODS, "a", "default", grace_period=0)
        await world.api.delete(PERSISTENTVOLUMECLAIMS, "data", "default")
        assert await world.world.informers.of(PERSISTENTVOLUMES).until(
            ("", made["metadata"]["name"]), lambda v: not v, 5
        )
        assert not folder.exists() and (tmp_path / "volumes").exists()
