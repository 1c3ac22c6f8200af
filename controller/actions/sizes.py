"""Named sizes of processes: memory and CPU together."""

from django.conf import settings

from controller.actions.config import change_config
from controller.errors import Invalid
from controller.models import App, Config, User


def size_of(memory: str, cpu: str) -> str | None:
    """The name of the size with these limits; `default` without any, None for others."""
    if not memory and not cpu:
        return "default"
    return next((name for name, size in settings.SIZES.items() if (size["memory"], size["cpu"]) == (memory, cpu)), None)


def sizes_of(app: App) -> dict[str, dict]:
    """By process type: its size, memory, CPU and count."""
    config, found = app.current_release().config, {}
    for kind in sorted({*app.structure, *config.memory, *config.cpu}):
        memory, cpu = config.memory.get(kind, ""), config.cpu.get(kind, "")
        count = app.structure.get(kind, 0)
        found[kind] = {"size": size_of(memory, cpu), "memory": memory, "cpu": cpu, "count": count}
    return found


def resize(*, app: App, wished: dict[str, str], by: User):
    """The change of config, as `change_config` gives it. Raises: Invalid, and what `change_config` raises."""
    sections: dict[str, dict] = {"memory": {}, "cpu": {}}
    config: Config = app.current_release().config
    for kind, name in wished.items():
        if name != "default" and name not in settings.SIZES:
            raise Invalid(**{kind: f"{name} is no size; there are default, {', '.join(settings.SIZES)}"})
        for section, values in sections.items():
            if name != "default":
                values[kind] = settings.SIZES[name][section]
            elif kind in getattr(config, section):
                values[kind] = None
    return change_config(app=app, changes={name: values for name, values in sections.items() if values}, by=by)
