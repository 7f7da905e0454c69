"""What each operation of the control plane takes: fields, defaults, sentences.

Built by both faces, by start-up and by snapshots. ``None`` means "not given": the control plane
then settles the value from the archive, the settings or the defaults (``control.spec``).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RegisterModel(msgspec.Struct, frozen=True, kw_only=True):
    """Register one version of a model from an archive."""

    url: Annotated[
        str | None,
        Meta(description="Archive in the model store, or a URL within allowed_urls."),
    ] = None
    model_name: Annotated[
        str | None, Meta(description="Name to serve under; default: the manifest's modelName.")
    ] = None
    handler: Annotated[
        str | None, Meta(description="Handler to use; default: the manifest's handler.")
    ] = None
    runtime: Annotated[
        str | None, Meta(description="python or python3; default: the manifest's runtime.")
    ] = None
    batch_size: Annotated[int | None, Meta(description="Most jobs in one batch; default 1.")] = None
    max_batch_delay: Annotated[
        int | None,
        Meta(description="Longest wait of a job for company, in milliseconds; default 100."),
    ] = None
    initial_workers: Annotated[
        int | None,
        Meta(description="Workers to start; default: default_workers_per_model."),
    ] = None
    synchronous: Annotated[
        bool, Meta(description="Answer when the workers are ready instead of at once.")
    ] = True
    response_timeout: Annotated[
        int | None, Meta(description="Longest time for one batch, in seconds; default 120.")
    ] = None
    startup_timeout: Annotated[
        int | None, Meta(description="Longest time to load the model, in seconds; default 120.")
    ] = None
    s3_sse_kms: Annotated[
        bool, Meta(description="The archive lies in S3 encrypted with a KMS key.")
    ] = False
    sha256: Annotated[
        str | None, Meta(description="Digest the downloaded archive must have, in hex.")
    ] = None


class ScaleWorkers(msgspec.Struct, frozen=True, kw_only=True):
    """Change the number of workers, or the batching, of a live version."""

    model_name: str
    model_version: Annotated[
        str | None, Meta(description="Version to change; default: the default version.")
    ] = None
    min_worker: Annotated[
        int | None,
        Meta(
            description="Workers to have at least; default 1, or as it is when only the batching is given."
        ),
    ] = None
    max_worker: Annotated[
        int | None, Meta(description="Workers to have at most; default: min_worker.")
    ] = None
    synchronous: Annotated[
        bool, Meta(description="Answer when the workers are ready instead of at once.")
    ] = False
    timeout: Annotated[
        int,
        Meta(
            description="Seconds a removed worker may take to finish its requests: "
            "0 ends it at once, -1 waits as long as it takes."
        ),
    ] = -1
    batch_size: Annotated[int | None, Meta(description="New most jobs in one batch.")] = None
    max_batch_delay: Annotated[
        int | None, Meta(description="New longest wait of a job for company, in milliseconds.")
    ] = None


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


class ListModels(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the registered models."""

    limit: Annotated[int, Meta(description="Most models on the page; 0 to 100.")] = 100
    next_page_token: Annotated[
        int, Meta(description="Index of the first model, as the page before gave it.")
    ] = 0
