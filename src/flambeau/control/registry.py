"""Names, versions, and which version answers when none is named.

The first version registered under a name is its default and stays it until another is chosen.
The registry holds versions; it starts and stops nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.errors import Conflict, DefaultVersionInUse, ModelNotFound, ModelVersionNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.control.model import ModelVersion


class Name:
    """All versions under one name."""

    __slots__ = ("default", "versions")

    def __init__(self, first: ModelVersion) -> None:
        self.versions = {first.spec.version: first}
        self.default = first


class Registry:
    """Every registered version, by name and version."""

    def __init__(self) -> None:
        self._names: dict[str, Name] = {}

    def __iter__(self) -> Iterator[ModelVersion]:
        for name in list(self._names.values()):
            yield from list(name.versions.values())

    def names(self) -> list[str]:
        """All names in code-point order."""
        return sorted(self._names)

    def find(self, name: str, version: str | None = None) -> ModelVersion:
        """The version meant: the named one, else the default.

        Raises ModelNotFound or ModelVersionNotFound.
        """
        known = self._names.get(name)
        if known is None:
            raise ModelNotFound(f"Model not found: {name}")
        if version is None:
            return known.default
        found = known.versions.get(version)
        if found is None:
            raise ModelVersionNotFound(f"Model version: {version} does not exist for model: {name}")
        return found

    def versions(self, name: str) -> list[ModelVersion]:
        """Every version of ``name``.

        Raises ModelNotFound.
        """
        known = self._names.get(name)
        if known is None:
            raise ModelNotFound(f"Model not found: {name}")
        return list(known.versions.values())

    def is_default(self, version: ModelVersion) -> bool:
        """Whether ``version`` answers when none is named."""
        known = self._names.get(version.spec.name)
        return known is not None and known.default is version

    def defaults(self) -> list[ModelVersion]:
        """The default version of every name."""
        return [name.default for name in self._names.values()]

    def refuse_known(self, name: str, version: str) -> None:
        """Raises Conflict when that version is registered already."""
        known = self._names.get(name)
        if known is not None and version in known.versions:
            raise Conflict(f"Model version {version} is already registered for model {name}")

    def add(self, version: ModelVersion) -> None:
        """Add a version; the first of its name becomes the default.

        Raises Conflict when it is there already.
        """
        spec = version.spec
        self.refuse_known(spec.name, spec.version)
        known = self._names.get(spec.name)
        if known is None:
            self._names[spec.name] = Name(version)
        else:
            known.versions[spec.version] = version

    def remove(self, version: ModelVersion) -> None:
        """Forget a version that ``find`` gave.

        Raises DefaultVersionInUse for the default version while others exist.
        """
        known = self._names.get(version.spec.name)
        if known is None or known.versions.get(version.spec.version) is not version:
            return
        if known.default is version and len(known.versions) > 1:
            raise DefaultVersionInUse(
                f"Cannot remove default version for model {version.spec.name}"
            )
        del known.versions[version.spec.version]
        if not known.versions:
            del self._names[version.spec.name]

    def set_default(self, name: str, version: str) -> None:
        """Make ``version`` the one that answers when none is named.

        Raises ModelNotFound or ModelVersionNotFound.
        """
        known = self._names.get(name)
        if known is None:
            raise ModelNotFound(f"Model not found: {name}")
        found = known.versions.get(version)
        if found is None:
            raise ModelVersionNotFound(f"Model version {version} does not exist for model {name}")
        known.default = found
