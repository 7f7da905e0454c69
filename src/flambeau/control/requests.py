"""What each operation of the control plane takes: fields, defaults, sentences.

The values of a version that a call may give are fields too: ``versions.table`` adds them. Built by
both faces, by start-up and by snapshots. ``None`` means "not given": the control plane
then settles the value from the archive, the settings or the defaults (``control.spec``).
"""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from flambeau.versions.rows import with_values
from flambeau.versions.value import Form

Request = TypeVar("Request", bound=msgspec.Struct)
"""Any of the requests below."""


@with_values(Form.REGISTER, after="model_name")
class RegisterModel(msgspec.Struct, frozen=True, kw_only=True):
    """Register one version of a model from an archive."""

    url: Annotated[
        str | None,
        Meta(description="Archive in the model store, or a URL within allowed_urls."),
    ] = None
    model_name: Annotated[
        str | None, Meta(description="Name to serve under; default: the manifest's modelName.")
    ] = None
    initial_workers: Annotated[
        int | None,
        Meta(
            description="Workers to start; default: default_workers_per_model.",
            extra={"least": 0},
        ),
    ] = None
    synchronous: Annotated[
        bool, Meta(description="Answer when the workers are ready instead of at once.")
    ] = True
    s3_sse_kms: Annotated[
        bool, Meta(description="The archive lies in S3 encrypted with a KMS key.")
    ] = False
    sha256: Annotated[
        str | None, Meta(description="Digest the downloaded archive must have, in hex.")
    ] = None


@with_values(Form.SCALE, after="timeout")
class ScaleWorkers(msgspec.Struct, frozen=True, kw_only=True):
    """Change the number of workers, or the batching, of a live version."""

    model_name: str
    model_version: Annotated[
        str | None, Meta(description="Version to change; default: the default version.")
    ] = None
    min_worker: Annotated[
        int | None,
        Meta(
            description="Workers to have at least; default 1, or as it is when only the batching is given.",
            extra={"least": 0},
        ),
    ] = None
    max_worker: Annotated[
        int | None,
        Meta(
            description="Workers to have at most; default: min_worker.",
            extra={"least": 0},
        ),
    ] = None
    synchronous: Annotated[
        bool, Meta(description="Answer when the workers are ready instead of at once.")
    ] = False
    timeout: Annotated[
        int,
        Meta(
            description="Seconds a removed worker may take to finish its requests: "
            "0 ends it at once, -1 waits as long as it takes.",
            extra={"least": -1},
        ),
    ] = -1


OTHER_SPELLINGS = {"min_worker": "min_workers", "max_worker": "max_workers"}
"""Parameters of a scale call that documents spell in another way too."""


class DescribeModel(msgspec.Struct, frozen=True, kw_only=True):
    """Describe the default version, a named one, or all (``all_versions``)."""

    model_name: str
    model_version: str | None = None
    all_versions: bool = False
    customized: Annotated[
        bool, Meta(description="Ask the handler for its own metadata as well.")
    ] = False


class UnregisterModel(msgspec.Struct, frozen=True, kw_only=True):
    """Remove one version: the named one, else the default one."""

    model_name: str
    model_version: str | None = None


class SetDefaultVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Make a version the one that answers when none is named."""

    model_name: str
    model_version: str


LONGEST_PAGE = 100


class ListModels(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. Numbers out of bounds mean the default."""

    limit: Annotated[int, Meta(description="Most models on the page; 0 to 100.")] = LONGEST_PAGE
    next_page_token: Annotated[
        int, Meta(description="Index of the first model, as the page before gave it.")
    ] = 0

    @property
    def page(self) -> tuple[int, int]:
        """Index of the first entry, and of the one behind the last."""
        limit = self.limit if 0 <= self.limit <= LONGEST_PAGE else LONGEST_PAGE
        start = max(0, self.next_page_token)
        return start, start + limit


class Parameter(msgspec.Struct, frozen=True):
    """One field of a request, as a face or the command line needs to know it."""

    name: str
    type: type
    required: bool
    default: Any
    sentence: str
    least: int | None
    choices: tuple[str, ...]


@cache
def parameters(kind: type[msgspec.Struct]) -> tuple[Parameter, ...]:
    """The fields of a request, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(_parameter(field, hints[field.name]) for field in msgspec.structs.fields(kind))


def _parameter(field: msgspec.structs.FieldInfo, hint: Any) -> Parameter:
    meta = Meta()
    if typing.get_origin(hint) is Annotated:
        hint, meta = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    extra = meta.extra or {}
    return Parameter(
        name=field.name,
        type=hint,
        required=field.required,
        default=None if field.required else field.default,
        sentence=meta.description or "",
        least=extra.get("least"),
        choices=tuple(extra.get("choices") or ()),
    )
