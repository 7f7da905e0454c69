"""THE table of the values a version has, one field each, in the order describe shows them.

The register and scale calls of every face, model-config.yaml, the ``models`` setting, snapshots,
describe and the command line are made from these rows, and ``control.spec`` settles a version by
their order of sources. Adding a value is one row here and its use.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from flambeau.versions.value import Form, Unit, Value

INT_MAX = 2**31 - 1
Count = Annotated[int, Meta(ge=0, le=INT_MAX)]
Positive = Annotated[int, Meta(ge=1, le=INT_MAX)]

REGISTER, SCALE = Form.REGISTER, Form.SCALE
CONFIG, MODELS = Form.CONFIG, Form.MODELS
MANIFEST, SERVER = Form.MANIFEST, Form.SERVER


class TorchRun(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The ``torchrun`` map: how one worker spreads over several processes."""

    nnodes: Positive = 1
    nproc_per_node: Positive = 1
    rdzv_backend: str = "c10d"
    rdzv_endpoint: str | None = None
    rdzv_conf: str | None = None
    monitor_interval: Count = 5
    node_rank: Count = 0
    omp_number_threads: Positive = field(default=1, name="OMP_NUMBER_THREADS")


class VersionValues(msgspec.Struct, frozen=True, kw_only=True):
    """Every value of one version, settled."""

    handler: Annotated[
        str,
        Value(
            "Handler to use",
            wins=(REGISTER, MANIFEST, SERVER),
            asked=(REGISTER,),
            setting="default_service_handler",
            otherwise="the manifest's handler",
        ),
    ] = ""
    runtime: Annotated[
        str,
        Value(
            "Interpreter of the workers: python or python3",
            wins=(REGISTER, MODELS, MANIFEST),
            asked=(REGISTER,),
            models="runtimeType",
            described="runtime",
            choices=("python", "python3"),
            otherwise="the manifest's runtime",
        ),
    ] = ""
    min_workers: Annotated[
        int,
        Value(
            "Workers to have at least",
            wins=(CONFIG, REGISTER, MODELS, SERVER),
            startup_only=(MODELS,),
            config="minWorkers",
            models="minWorkers",
            setting="default_workers_per_model",
            described="minWorkers",
            least=1,
            lifted=True,
        ),
    ] = 0
    max_workers: Annotated[
        int,
        Value(
            "Workers to have at most",
            wins=(CONFIG, REGISTER, MODELS, SERVER),
            startup_only=(MODELS,),
            config="maxWorkers",
            models="maxWorkers",
            setting="default_workers_per_model",
            described="maxWorkers",
            least=0,
        ),
    ] = 0
    batch_size: Annotated[
        int,
        Value(
            "Most jobs in one batch",
            wins=(REGISTER, CONFIG, MODELS),
            asked=(REGISTER, SCALE),
            config="batchSize",
            models="batchSize",
            described="batchSize",
            least=1,
            lifted=True,
        ),
    ] = 1
    max_batch_delay: Annotated[
        int,
        Value(
            "Longest wait of a job for company",
            Unit.MILLISECONDS,
            wins=(REGISTER, CONFIG, MODELS),
            asked=(REGISTER, SCALE),
            config="maxBatchDelay",
            models="maxBatchDelay",
            described="maxBatchDelay",
            least=0,
        ),
    ] = 100
    response_timeout: Annotated[
        int,
        Value(
            "Longest time for one batch",
            Unit.SECONDS,
            wins=(CONFIG, REGISTER, MODELS, SERVER),
            asked=(REGISTER,),
            config="responseTimeout",
            models="responseTimeout",
            setting="default_response_timeout",
            described="responseTimeout",
            least=1,
        ),
    ] = 120
    startup_timeout: Annotated[
        int,
        Value(
            "Longest time to load the model",
            Unit.SECONDS,
            wins=(CONFIG, REGISTER, MODELS, SERVER),
            asked=(REGISTER,),
            config="startupTimeout",
            models="startupTimeout",
            setting="default_startup_timeout",
            described="startupTimeout",
            least=1,
        ),
    ] = 120
    queue_size: Annotated[
        int,
        Value(
            "Most jobs that may wait",
            wins=(CONFIG, SERVER),
            config="jobQueueSize",
            setting="job_queue_size",
            least=1,
        ),
    ] = 100
    max_retry_timeout: Annotated[
        int,
        Value(
            "Time during which a failing worker still counts as healthy, and its longest back-off",
            Unit.SECONDS,
            wins=(CONFIG,),
            config="maxRetryTimeoutInSec",
            described="maxRetryTimeoutInSec",
            least=0,
        ),
    ] = 300
    client_timeout: Annotated[
        int,
        Value(
            "Longest wait of a client for its answer (0: for ever)",
            Unit.MILLISECONDS,
            wins=(CONFIG,),
            config="clientTimeoutInMills",
            described="clientTimeoutInMills",
            least=0,
        ),
    ] = 0
    parallel_type: Annotated[
        str,
        Value(
            "How one model spreads over several devices",
            wins=(CONFIG,),
            config="parallelType",
            described="parallelType",
            choices=("pp", "tp", "pptp", "custom"),
            later=True,
        ),
    ] = ""
    parallel_level: Annotated[
        int,
        Value(
            "Devices of one worker",
            wins=(CONFIG,),
            config="parallelLevel",
            models="parallelLevel",
            described="parallelLevel",
            least=0,
            needs="parallel_type",
        ),
    ] = 0
    torchrun: Annotated[
        TorchRun | None,
        Value(
            "How one worker spreads over several processes",
            wins=(CONFIG,),
            config="torchrun",
            later=True,
        ),
    ] = None
    device_type: Annotated[
        str,
        Value(
            "Kind of device the workers use",
            wins=(CONFIG,),
            config="deviceType",
            described="deviceType",
            choices=("cpu", "gpu"),
        ),
    ] = ""
    device_ids: Annotated[
        tuple[Count, ...] | None,
        Value(
            "The devices the workers go round",
            wins=(CONFIG,),
            config="deviceIds",
            described="deviceIds",
        ),
    ] = None
    async_communication: Annotated[
        bool,
        Value(
            "Whether a worker's handler answers jobs in any order",
            wins=(CONFIG,),
            config="asyncCommunication",
            later=True,
        ),
    ] = False
    continuous_batching: Annotated[
        bool,
        Value(
            "Whether jobs join a batch that runs",
            wins=(CONFIG,),
            config="continuousBatching",
            described="continuousBatching",
            later=True,
        ),
    ] = False
    use_job_ticket: Annotated[
        bool,
        Value(
            "Whether a job is taken only when a worker is idle",
            wins=(CONFIG,),
            config="useJobTicket",
            described="useJobTicket",
            later=True,
        ),
    ] = False
    use_venv: Annotated[
        bool,
        Value(
            "Whether workers have a virtual environment of their own",
            wins=(CONFIG,),
            config="useVenv",
            described="useVenv",
            later=True,
        ),
    ] = False
    sequence_batching: Annotated[
        bool,
        Value(
            "Whether requests of one sequence go to one worker",
            wins=(CONFIG,),
            config="sequenceBatching",
            described="stateful",
            later=True,
        ),
    ] = False
    sequence_max_idle: Annotated[
        int,
        Value(
            "Longest pause within a sequence",
            Unit.MILLISECONDS,
            wins=(CONFIG,),
            config="sequenceMaxIdleMSec",
            described="sequenceMaxIdleMSec",
            least=0,
            needs="sequence_batching",
        ),
    ] = 0
    sequence_timeout: Annotated[
        int,
        Value(
            "Longest life of a sequence (0: no limit)",
            Unit.MILLISECONDS,
            wins=(CONFIG,),
            config="sequenceTimeoutMSec",
            described="sequenceTimeoutMSec",
            least=0,
            needs="sequence_batching",
        ),
    ] = 0
    max_num_sequence: Annotated[
        int,
        Value(
            "Most sequences at a time",
            wins=(CONFIG,),
            config="maxNumSequence",
            described="maxNumSequence",
            least=1,
            lifted=True,
            needs="sequence_batching",
        ),
    ] = 1
    max_sequence_job_queue_size: Annotated[
        int,
        Value(
            "Most jobs of one sequence that may wait",
            wins=(CONFIG,),
            config="maxSequenceJobQueueSize",
            described="maxSequenceJobQueueSize",
            least=1,
            lifted=True,
            needs="sequence_batching",
        ),
    ] = 1
