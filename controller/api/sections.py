"""The sections of a config, as bodies bring them: checked key by key, each failure under its section's name."""

import json

from rest_framework import serializers

from controller.config_fields import Check, Refused


class Section(serializers.Field):
    """A mapping, or its JSON text; `check(key, value)` gives the value to keep. Null values remove their key."""

    def __init__(self, check: Check, **kwargs):
        super().__init__(required=False, allow_null=True, **kwargs)
        self._check = check

    def to_internal_value(self, data):
        if isinstance(data, str):
            try:
                data = json.loads(data) if data.strip() else {}
            except (ValueError, RecursionError) as exc:
                raise serializers.ValidationError(f"JSON parse error - {exc}") from exc
        if not isinstance(data, dict):
            raise serializers.ValidationError(f'Expected a dictionary of items but got type "{type(data).__name__}".')
        try:
            return {key: self._check(key, value) for key, value in data.items()}
        except Refused as exc:
            raise serializers.ValidationError(str(exc)) from exc

    def to_representation(self, value):
        return value
