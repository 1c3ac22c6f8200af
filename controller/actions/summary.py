"""What a release changed, in Deis' words. Pure."""

from controller.models import Build, Config, Release


def describe_change(by: str, previous: Release | None, build: Build | None, config: Config) -> str:
    """The summary of a release after `previous`; empty when nothing differs."""
    if previous is None:
        return f"{by} created initial release"
    parts = []
    if build is not None and build.pk != (previous.build.pk if previous.build else None):
        parts.append(f"{by} deployed {build.sha[:7] or build.image}")
    if config.pk != previous.config.pk:
        parts += [f"{by} {text}" for text in describe_config(previous.config, config)]
    return " and ".join(parts)


def describe_config(old: Config, new: Config) -> list[str]:
    """One phrase per section that differs."""
    phrases = [_keys(old.values, new.values, "")]
    hidden = sorted(set(new.secret_keys) - set(old.secret_keys) - (new.values.keys() - old.values.keys()))
    phrases.append(f"made {', '.join(hidden)} write-only" if hidden else "")
    shared = (shared_values(old), shared_values(new))
    phrases.append(_keys(*shared, "shared "))
    limits = [name for name in ("memory", "cpu") if getattr(old, name) != getattr(new, name)]
    phrases.append(f"changed limits for {', '.join(limits)}" if limits else "")
    if old.termination_grace_period != new.termination_grace_period:
        phrases.append("changed timeouts for termination_grace_period")
    phrases += [
        _keys(old.tags, new.tags, "tag "),
        _keys(old.registry, new.registry, "registry info "),
        _keys(old.healthcheck, new.healthcheck, "healthcheck info for proc type "),
        _keys(old.lifecycle_post_start, new.lifecycle_post_start, "lifecycle_post_start ", added_pad=" "),
        _keys(old.lifecycle_pre_stop, new.lifecycle_pre_stop, "lifecycle_pre_stop ", added_pad=" "),
    ]
    return [phrase for phrase in phrases if phrase]


def shared_values(config: Config) -> dict[str, str]:
    return {key: entry["value"] for key, entry in config.resolved.items()}


def _keys(old: dict, new: dict, noun: str, added_pad: str = "") -> str:
    """`added A, B, changed C, deleted D`, with what there is of it."""
    added = sorted(new.keys() - old.keys())
    changed = sorted(key for key in new.keys() & old.keys() if new[key] != old[key])
    deleted = sorted(old.keys() - new.keys())
    groups = (("added", added, added_pad), ("changed", changed, ""), ("deleted", deleted, ""))
    return ", ".join(f"{verb} {noun}{pad}{', '.join(keys)}" for verb, keys, pad in groups if keys)
