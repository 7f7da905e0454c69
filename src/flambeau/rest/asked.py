"""Query parameters into a request of the control plane, by the request's own fields.

A number that is none, or is left out, counts as not given. What a value means and whether it will
do is decided by ``control``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.control.requests import OTHER_SPELLINGS, parameters

if TYPE_CHECKING:
    from flambeau.control.requests import Parameter, Request
    from flambeau.rest.query import Query


def asked(kind: type[Request], query: Query, **known: Any) -> Request:
    """A request of that kind; ``known`` are fields that come from elsewhere."""
    for parameter in parameters(kind):
        if parameter.name not in known:
            value = _given(parameter, query)
            if value is not None:
                known[parameter.name] = value
    return kind(**known)


def _given(parameter: Parameter, query: Query) -> Any:
    name = parameter.name
    if parameter.type is bool:
        return query.flag(name, default=parameter.default)
    if parameter.type is int:
        return query.integer(name, OTHER_SPELLINGS.get(name, name))
    return query.text(name)
