"""What an app's app.json declares, taken over into its config and formation. Pure but for made-up secrets."""

import secrets

from controller.app_json import AppJson
from controller.errors import BadRequest

SECRET_BYTES = 32


def new_values(declared: AppJson, before: AppJson, values: dict[str, str]) -> dict[str, str]:
    """The variables to add: those that app.json names for the first time and the config lacks.

    Raises: BadRequest naming the variables that are required and that nobody has set.
    """
    fresh, missing = {}, []
    for name, variable in declared.env.items():
        if name in values:
            continue
        known = name in before.env  # unset on purpose since then
        if not known and variable.generated:
            fresh[name] = secrets.token_hex(SECRET_BYTES)
        elif not known and variable.value is not None:
            fresh[name] = variable.value
        elif variable.required and variable.value is None and not variable.generated:
            missing.append(f"{name} ({variable.description})" if variable.description else name)
    if missing:
        example = " ".join(f"{text.partition(' ')[0]}=…" for text in missing)
        raise BadRequest(
            f"app.json requires {', '.join(missing)}; set it with `paas config:set {example}` and deploy again"
        )
    return fresh


def new_counts(declared: AppJson, structure: dict[str, int], procfile: dict[str, str]) -> dict[str, int]:
    """The process counts to take over: of types that the app has but never had before."""
    return {kind: count for kind, count in declared.formation.items() if kind not in structure and kind in procfile}
