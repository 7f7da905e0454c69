"""Which version a request meets: the one place where that is decided.

A version that the request names is met exactly. For the others a model may have a ``Route``, which
chooses among its versions; without one the default version answers. ``control.plane`` submits to
what comes out of here, whichever face the request came through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flambeau.control.model import ModelVersion
    from flambeau.control.registry import Registry
    from flambeau.jobs.job import Job

    Route = Callable[[Mapping[str, ModelVersion], Job], str | None]
    """Given the versions of a model by number and a job, the number of the one that answers; None
    for the default one. Called for every request that names no version, so it must be quick."""


class Routing:
    """Picks versions out of ``registry``, by the routes of the models that have one."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._routes: dict[str, Route] = {}

    def set_route(self, name: str, route: Route | None) -> None:
        """Choose among the versions of ``name`` by ``route`` from now on; None: the default one."""
        if route is None:
            self._routes.pop(name, None)
        else:
            self._routes[name] = route

    def pick(self, name: str, version: str | None, job: Job) -> ModelVersion:
        """The version that is to answer ``job``.

        Raises ModelNotFound or ModelVersionNotFound.
        """
        if version is not None:
            job.version_given = True
        elif self._routes and (route := self._routes.get(name)) is not None:
            versions = {each.spec.version: each for each in self._registry.versions(name)}
            version = route(versions, job)
        return self._registry.find(name, version)
