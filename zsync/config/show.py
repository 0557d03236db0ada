"""The native form of a configuration, to be shown or written to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    from zsync.config.model import Sections

MASK = "********"


def to_native(config: Sections) -> dict[str, Any]:
    """Return a configuration as a native document: what differs from the defaults, with secrets as `SecretStr`."""
    return config.model_dump(exclude_defaults=True)


def to_yaml(config: Sections, *, mask: bool = True) -> str:
    """Return a configuration as a native YAML file.

    Parameters
    ----------
    config
        The configuration.
    mask
        Write asterisks for secrets. Such a file cannot be read back, so that no one signs in with asterisks.
    """
    import yaml

    doc = _with_secrets(to_native(config), mask=mask)
    return yaml.safe_dump(doc, sort_keys=False, allow_unicode=True, width=10**6)


def _with_secrets(value: Any, *, mask: bool) -> Any:
    if isinstance(value, dict):
        return {
            key: _with_masked_arguments(item) if mask and key == "command" else _with_secrets(item, mask=mask)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_secrets(item, mask=mask) for item in value]
    if isinstance(value, SecretStr):
        return MASK if mask else value.get_secret_value()
    return value


def _with_masked_arguments(command: list[str]) -> list[str]:
    """Return a command of which only the program is shown: of its arguments nobody knows which are secret."""
    program, *rest = command[0].split(None, 1)
    return [f"{program} {MASK}" if rest else program, *(MASK for _ in command[1:])]
