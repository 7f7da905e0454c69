"""Settings into the parts the server is built of, one function a part.

Called by ``server`` only. Each function hands out the few values its part needs: nothing below
ever sees the whole table.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.members import ArchiveLimits
from flambeau.archive.store import ModelStore
from flambeau.archive.transfer import DownloadLimits
from flambeau.config.snapshots import SnapshotFiles
from flambeau.config.values import Batching, LogFormat
from flambeau.control.devices import SharedRound, listed, usable
from flambeau.control.model import Workshop
from flambeau.control.snapshot import SavedVersion
from flambeau.control.spec import Defaults
from flambeau.grpc.rpcs import Place
from flambeau.http.limits import Limits
from flambeau.jobs.feed import Prefetch
from flambeau.logs.log4j import configured_file, read_log4j
from flambeau.logs.logs import Logs
from flambeau.logs.plan import default_plan
from flambeau.metrics import accelerators
from flambeau.metrics.definitions import Definitions, DefinitionsError, read_definitions
from flambeau.metrics.registry import Metrics, Mode
from flambeau.rest.route import Api
from flambeau.security.gate import Gate
from flambeau.security.grants import read_grants
from flambeau.security.tls import context_of, read_pair
from flambeau.security.tokens import Tokens
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import LOCAL, Launchers
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher
from flambeau.transport.messages import WorkerSettings
from flambeau.versions.rows import given_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from flambeau.config.options import Options
    from flambeau.control.snapshot import WriteSnapshot
    from flambeau.security.tls import Pair
    from flambeau.supervision.launcher import Launcher
    from flambeau.supervision.output import LineSink

logger = logging.getLogger("flambeau.server")

FLUSH_TIMEOUT = 5.0
"""Seconds the last answers may take to reach their clients once all work is done."""
KEY_FILE = "key_file.json"
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Where systems name the certificate authorities that downloads trust; the first that is set."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The loop of uvloop where it is installed, else asyncio's: about a fifth slower."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def logs(options: Options) -> tuple[Logs, list[str]]:
    """The log files and the console, and what of a log4j2 file could not be taken over.

    Raises Log4jError for a file that cannot be read.
    """
    plan = default_plan(
        options.log_location,
        options.metrics_location,
        json=options.log_format is LogFormat.JSON,
    )
    notices: list[str] = []
    file = configured_file(options.log_config, options.vmargs)
    if file is not None:
        plan, notices = read_log4j(file, plan, os.environ)
    return Logs(plan), notices


def gate(options: Options) -> Gate:
    """The check in front of every operation, with the keys that open it.

    Raises KeyFileError when the key file cannot be written, GrantsError for a broken tokens_file.
    """
    if options.disable_token_authorization:
        return Gate.off(model_api=options.enable_model_api)
    grants = read_grants(options.tokens_file, os.environ)
    tokens = Tokens(Path.cwd() / KEY_FILE, options.token_expiration_min, grants)
    if tokens.problem:
        logger.warning("%s", tokens.problem)
    else:
        logger.info("keys are in %s", tokens.key_file)
    return Gate(tokens, model_api=options.enable_model_api)


def metrics(options: Options, logs: Logs) -> Metrics:
    """Where every count and time is kept; without declared ones if their file is broken."""
    try:
        definitions = read_definitions(options.metrics_config)
    except DefinitionsError as error:
        logger.error("no metrics are declared: %s", error)  # noqa: TRY400 - the file is at fault
        definitions = Definitions()
    return Metrics(
        definitions,
        mode=Mode(options.metrics_mode.value),
        auto_detect=options.model_metrics_auto_detect,
        server_sink=logs.server_metrics.write,
        model_sink=logs.model_metrics.write,
    )


def model_store(options: Options, temp: Path) -> ModelStore:
    """The folder of archives and the doors into it."""
    return ModelStore(
        options.model_store or Path.cwd(),
        temp,
        AllowedUrls.parse(options.allowed_urls),
        ArchiveLimits(members=options.max_archive_members, total_bytes=options.max_unpacked_size),
        DownloadLimits(
            most_bytes=options.max_archive_size,
            read_seconds=options.download_timeout,
            ca_bundle=next(filter(None, map(os.environ.get, CA_VARIABLES)), None),
        ),
    )


def environment_rule(options: Options) -> EnvironmentRule:
    """Which variables workers see."""
    return EnvironmentRule(options.blacklist_env_vars)


def launchers(options: Options, rule: EnvironmentRule, sink: LineSink) -> Launchers:
    """What starts workers: one launcher for each kind of place."""
    return Launchers(
        {LOCAL: ForkLauncher(rule, sink) if options.worker_preload else SpawnLauncher(sink)}
    )


def workshop(
    options: Options, launcher: Launcher, rule: EnvironmentRule, worker_ids: Callable[[], int]
) -> Workshop:
    """What every version needs to run workers."""
    return Workshop(
        launcher=launcher,
        rule=rule,
        devices=SharedRound(devices(options)),
        worker_ids=worker_ids,
        prefetch=Prefetch(seconds=options.prefetch_ms / 1000, most=options.max_prefetch),
        strict_batching=options.batching is Batching.STRICT,
        settings=worker_settings(options),
        worker_environment={
            "TS_DECODE_INPUT_REQUEST": str(options.decode_input_request).lower(),
            "TS_IPEX_ENABLE": str(options.ipex_enable).lower(),
            "TS_IPEX_GPU_ENABLE": str(options.ipex_gpu_enable).lower(),
        },
    )


def worker_settings(options: Options) -> WorkerSettings:
    """What every worker is told."""
    return WorkerSettings(
        envelope=options.service_envelope or "",
        decode_input_request=options.decode_input_request,
        limit_max_image_pixels=options.limit_max_image_pixels,
        max_response_size=options.max_response_size,
        metrics_config=str(options.metrics_config or ""),
        sequence_headers=sequence_headers(options),
    )


def devices(options: Options) -> int:
    """Accelerators to use."""
    found = listed()
    return usable(accelerators.count() if found is None else found, options.number_of_gpu)


def defaults(options: Options) -> Defaults:
    """What the settings say of versions where neither call nor archive does."""
    return Defaults(
        values=given_in(Form.SERVER, options),
        startup_workers=options.default_workers_per_model
        or devices(options)
        or os.cpu_count()
        or 1,
        versions={
            name: {number: given_in(Form.MODELS, known) for number, known in versions.items()}
            for name, versions in options.models.items()
        },
    )


def saved_versions(options: Options) -> list[SavedVersion]:
    """What the snapshot the server was started with registers, default versions first."""
    if options.model_snapshot is None:
        return []
    found = [
        SavedVersion(
            name=name,
            version=version,
            archive=known.mar_name,
            default=known.default_version,
            values=given_in(Form.SNAPSHOT, known),
        )
        for name, versions in options.model_snapshot.models.items()
        for version, known in versions.items()
    ]
    return sorted(found, key=lambda saved: not saved.default)


def snapshot_writer(options: Options) -> WriteSnapshot | None:
    """What writes snapshots; None with ``--ncs``."""
    return SnapshotFiles(options).write if options.snapshots else None


def addresses(options: Options) -> dict[str, list[Api]]:
    """Each address once, with the APIs it serves."""
    wanted = [
        (options.inference_address, Api.INFERENCE),
        (options.management_address, Api.MANAGEMENT),
    ]
    if options.enable_metrics_api:
        wanted.append((options.metrics_address, Api.METRICS))
    found: dict[str, list[Api]] = {}
    for address, api in wanted:
        found.setdefault(address, []).append(api)
    return found


def limits(options: Options) -> Limits:
    """Bounds that every listener holds its clients to."""
    return Limits(
        body=options.max_request_size,
        connections=options.max_connections,
        header_timeout=options.header_timeout,
        body_timeout=options.body_timeout,
        idle_timeout=options.idle_timeout,
    )


def grpc_places(options: Options) -> list[Place]:
    """Where gRPC is served. Raises TlsError when enable_grpc_ssl is set and has no certificate."""
    pair = _grpc_pair(options) if options.enable_grpc_ssl else None
    return [
        Place(
            api=Api.INFERENCE,
            host=options.grpc_inference_address,
            port=options.grpc_inference_port,
            largest_request=options.max_request_size,
            connection_age_ms=options.grpc_inference_max_connection_age_ms,
            connection_grace_ms=options.grpc_inference_max_connection_age_grace_ms,
            pair=pair,
        ),
        Place(
            api=Api.MANAGEMENT,
            host=options.grpc_management_address,
            port=options.grpc_management_port,
            largest_request=options.max_request_size,
            connection_age_ms=options.grpc_management_max_connection_age_ms,
            connection_grace_ms=options.grpc_management_max_connection_age_grace_ms,
            pair=pair,
        ),
    ]


def _grpc_pair(options: Options) -> Pair:
    """The PEM pair if there is one, as in the original; else what https addresses use."""
    if options.certificate_file is not None and options.private_key_file is not None:
        return read_pair(
            certificate_file=options.certificate_file, private_key_file=options.private_key_file
        )
    return _pair(options)


def sequence_headers(options: Options) -> tuple[str, str, str]:
    """Header names of a sequence's id, start and end."""
    return (
        options.ts_header_key_sequence_id,
        options.ts_header_key_sequence_start,
        options.ts_header_key_sequence_end,
    )


def tls(options: Options) -> ssl.SSLContext:
    """The certificate of https addresses.

    Raises TlsError, naming the setting and the remedy.
    """
    return context_of(_pair(options))


def _pair(options: Options) -> Pair:
    return read_pair(
        certificate_file=options.certificate_file,
        private_key_file=options.private_key_file,
        keystore=options.keystore,
        keystore_pass=options.keystore_pass,
        keystore_type=options.keystore_type,
    )


def cors(options: Options) -> list[tuple[str, str]]:
    """The Access-Control headers of the settings, in order."""
    pairs = (
        ("Access-Control-Allow-Origin", options.cors_allowed_origin),
        ("Access-Control-Allow-Methods", options.cors_allowed_methods),
        ("Access-Control-Allow-Headers", options.cors_allowed_headers),
    )
    return [(name, value) for name, value in pairs if value]
