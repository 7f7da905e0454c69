"""THE table of settings: one field per key of config.properties, with type, default, sentence.

Adding a setting is adding a field here. Environment names, flags, the reference page and the
messages about bad values come from it (``table``). ``load`` fills it, ``server`` reads it and
hands the pieces out; nothing below ``server`` sees it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec

from flambeau.config.setting import Effect, Setting, Syntax, jvm_only, later, of_run
from flambeau.config.values import Batching, LogFormat, MetricsMode, ModelDefaults, Snapshot

TORCHSERVE_VERSION = "0.12.0"
"""The release whose interface is kept; tools read it from ``torchserve --version``."""

WIDE_ALLOWED_URLS = "file://.*|http(s)?://.*"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of one server, settled."""

    # --- Addresses and TLS
    inference_address: Annotated[
        str, Setting("Where predictions are served.", syntax=Syntax.INFERENCE_ADDRESS)
    ] = "http://127.0.0.1:8080"
    management_address: Annotated[
        str,
        Setting(
            "Where models are managed; the inference address again puts both on one listener.",
            syntax=Syntax.MANAGEMENT_ADDRESS,
        ),
    ] = "http://127.0.0.1:8081"
    metrics_address: Annotated[
        str, Setting("Where metrics are scraped.", syntax=Syntax.METRICS_ADDRESS)
    ] = "http://127.0.0.1:8082"
    enable_metrics_api: Annotated[
        bool, Setting("Open the metrics address; false: no listener there.")
    ] = True
    enable_grpc_api: Annotated[bool, Setting("Open the gRPC ports; false saves 20 MB.")] = True
    grpc_inference_address: Annotated[str, Setting("Host of gRPC predictions.")] = "127.0.0.1"
    grpc_management_address: Annotated[str, Setting("Host of gRPC management.")] = "127.0.0.1"
    grpc_inference_port: Annotated[
        int, Setting("Port of gRPC predictions.", least=0, most=65535)
    ] = 7070
    grpc_management_port: Annotated[
        int, Setting("Port of gRPC management.", least=0, most=65535)
    ] = 7071
    grpc_inference_max_connection_age_ms: Annotated[
        int | None, Setting("Longest life of a gRPC inference connection, in ms.", least=1)
    ] = None
    grpc_inference_max_connection_age_grace_ms: Annotated[
        int | None, Setting("Time its calls get to end after that, in ms.", least=0)
    ] = None
    grpc_management_max_connection_age_ms: Annotated[
        int | None, Setting("Longest life of a gRPC management connection, in ms.", least=1)
    ] = None
    grpc_management_max_connection_age_grace_ms: Annotated[
        int | None, Setting("Time its calls get to end after that, in ms.", least=0)
    ] = None
    enable_grpc_ssl: Annotated[bool, Setting("Serve gRPC over TLS, with the PEM pair.")] = False
    keystore: Annotated[
        Path | None, Setting("PKCS12 keystore for https addresses; beats the PEM pair.")
    ] = None
    keystore_pass: Annotated[str, Setting("Password of the keystore.")] = "changeit"  # noqa: S105 - the original's documented default, not a secret
    keystore_type: Annotated[str, Setting("Type of the keystore.")] = "PKCS12"
    private_key_file: Annotated[Path | None, Setting("PEM private key for https addresses.")] = None
    certificate_file: Annotated[
        Path | None, Setting("PEM certificate chain for https addresses.")
    ] = None

    # --- HTTP
    max_request_size: Annotated[
        int, Setting("Largest request body in bytes; above it the answer is 413.", least=0)
    ] = 6553500
    max_response_size: Annotated[int, Setting("Largest answer of a handler in bytes.", least=0)] = (
        6553500
    )
    cors_allowed_origin: Annotated[
        str | None, Setting("Access-Control-Allow-Origin sent with every response.")
    ] = None
    cors_allowed_methods: Annotated[
        str | None, Setting("Access-Control-Allow-Methods sent with every response.")
    ] = None
    cors_allowed_headers: Annotated[
        str | None, Setting("Access-Control-Allow-Headers sent with every response.")
    ] = None
    max_connections: Annotated[int, Setting("Most open HTTP connections per address.", least=1)] = (
        10000
    )
    header_timeout: Annotated[
        float, Setting("Seconds a client may take to send the head of a request.", least=1)
    ] = 30.0
    body_timeout: Annotated[
        float, Setting("Seconds a client may pause while it sends a body.", least=1)
    ] = 60.0
    idle_timeout: Annotated[
        float, Setting("Seconds an idle keep-alive connection stays open.", least=1)
    ] = 300.0
    drain_timeout: Annotated[
        float, Setting("Seconds that accepted requests get to be answered at a stop.", least=0)
    ] = 30.0

    # --- Models and the model store
    model_store: Annotated[
        Path | None, Setting("Folder of model archives; required.", flag="--model-store")
    ] = None
    workflow_store: Annotated[
        Path | None,
        Setting(
            "Folder of workflow archives; default: the model store.",
            flag="--workflow-store",
            effect=Effect.LATER,
        ),
    ] = None
    load_models: Annotated[
        str | None,
        Setting(
            "Models to load at start: all, or a comma list of file, folder, URL or name=file.",
            flag="--models",
        ),
    ] = None
    models: Annotated[
        dict[str, dict[str, ModelDefaults]],
        Setting("JSON: defaults per model name and version.", env=None),
    ] = msgspec.field(default_factory=dict)
    model_snapshot: Annotated[
        Snapshot | None,
        Setting("JSON: the models a snapshot restores.", env=None),
    ] = None
    enable_model_api: Annotated[
        bool,
        Setting("Allow models to be registered and unregistered.", flag="--enable-model-api"),
    ] = False
    allowed_urls: Annotated[
        str,
        Setting("Where archives may be fetched from; a full match.", syntax=Syntax.REGEX_LIST),
    ] = WIDE_ALLOWED_URLS
    use_env_allowed_urls: Annotated[
        bool, Setting("Let TS_ALLOWED_URLS replace allowed_urls.", env=None)
    ] = False
    max_archive_size: Annotated[int, Setting("Largest archive in bytes.", least=1)] = 64 << 30
    max_unpacked_size: Annotated[int, Setting("Most bytes an archive may unpack to.", least=1)] = (
        64 << 30
    )
    max_archive_members: Annotated[
        int, Setting("Most files and folders in an archive.", least=1)
    ] = 100_000
    download_timeout: Annotated[
        float, Setting("Seconds a download may stand still before it is given up.", least=1)
    ] = 60.0
    default_service_handler: Annotated[
        str | None, Setting("Handler of archives that name none.")
    ] = None
    service_envelope: Annotated[
        str | None, Setting("Envelope of all models: body, json, kserve or kservev2.")
    ] = None
    install_py_dep_per_model: Annotated[
        bool, later("Install the requirements that an archive brings.")
    ] = False

    # --- Workers, queue, batching
    default_workers_per_model: Annotated[
        int,
        Setting("Workers of a model loaded at start; 0: one per GPU, else one per core.", least=0),
    ] = 0
    job_queue_size: Annotated[
        int, Setting("Most jobs that may wait per model version.", least=1)
    ] = 100
    batching: Annotated[
        Batching,
        Setting("adaptive: an idle worker never waits for company; strict: up to max_batch_delay."),
    ] = Batching.ADAPTIVE
    prefetch_ms: Annotated[
        float, Setting("Milliseconds of work a busy worker is given ahead; 0: none.", least=0)
    ] = 5.0
    max_prefetch: Annotated[
        int, Setting("Most batches a worker may hold, the running one included.", least=1)
    ] = 16
    worker_preload: Annotated[
        bool, Setting("Fork workers from a process that has imported what the handler needs.")
    ] = True
    default_response_timeout: Annotated[int, Setting("Seconds a batch may take.", least=1)] = 120
    default_startup_timeout: Annotated[
        int, Setting("Seconds a worker may take to load its model.", least=1)
    ] = 120
    unregister_model_timeout: Annotated[
        int, Setting("Seconds the workers of an unregistered model get to end.", least=0)
    ] = 120
    number_of_gpu: Annotated[
        int | None, Setting("Most GPUs to use; 0: CPU only; default: all there are.", least=0)
    ] = None
    initial_worker_port: Annotated[int, Setting("Id of the first worker.", least=0)] = 9000
    initial_distribution_port: Annotated[
        int, later("First port of models spread over several processes.", least=0)
    ] = 29500
    decode_input_request: Annotated[
        bool, Setting("Decode JSON and text bodies before the handler sees them.")
    ] = True
    limit_max_image_pixels: Annotated[
        bool, Setting("Keep Pillow's limit on image sizes; false lifts it in vision handlers.")
    ] = True
    blacklist_env_vars: Annotated[
        str,
        Setting("Environment variables hidden from workers; a full match.", syntax=Syntax.REGEX),
    ] = ""
    ipex_enable: Annotated[bool, Setting("Passed to workers as IPEX_ENABLE.")] = False
    ipex_gpu_enable: Annotated[bool, Setting("Passed to workers as IPEX_GPU_ENABLE.")] = False
    cpu_launcher_enable: Annotated[bool, later("Pin workers to cores with torch's launcher.")] = (
        False
    )
    cpu_launcher_args: Annotated[str | None, later("Arguments of that launcher.")] = None
    ts_header_key_sequence_id: Annotated[str, later("Header that names a sequence.")] = (
        "ts_request_sequence_id"
    )
    ts_header_key_sequence_start: Annotated[str, later("Header that starts a sequence.")] = (
        "ts_request_sequence_start"
    )
    ts_header_key_sequence_end: Annotated[str, later("Header that ends a sequence.")] = (
        "ts_request_sequence_end"
    )
    ts_open_inference_protocol: Annotated[
        bool,
        Setting(
            "Accepted for compatibility: the Open Inference Protocol is always served, over "
            "REST and gRPC."
        ),
    ] = False
    debug: Annotated[bool, later("One worker per model, attached by hand.")] = False

    # --- Tokens
    disable_token_authorization: Annotated[
        bool, Setting("Ask for no tokens.", flag="--disable-token-auth")
    ] = False
    token_expiration_min: Annotated[
        float,
        Setting(
            "Minutes until an inference or management key expires.",
            env="TS_TOKEN_EXPIRATION_TIME_MIN",
            syntax=Syntax.FALLS_BACK,
        ),
    ] = 60.0
    tokens_file: Annotated[
        Path | None, Setting("JSON file of tokens given from outside, limited in what they open.")
    ] = None

    # --- Metrics and logs
    metrics_mode: Annotated[
        MetricsMode, Setting("log, prometheus or legacy.", syntax=Syntax.FALLS_BACK)
    ] = MetricsMode.LOG
    metrics_config: Annotated[
        Path | None, Setting("metrics.yaml that declares the metrics; default: the shipped one.")
    ] = None
    model_metrics_auto_detect: Annotated[
        bool, Setting("Accept metrics of handlers that metrics.yaml does not declare.")
    ] = False
    disable_system_metrics: Annotated[
        bool, Setting("Take no readings of processor, memory, disk and GPUs.")
    ] = False
    system_metrics_cmd: Annotated[
        str | None, Setting("Command that prints system metrics instead.", env=None)
    ] = None
    metric_time_interval: Annotated[
        int, Setting("Seconds between two system readings.", env=None, least=1)
    ] = 60
    log_format: Annotated[
        LogFormat, Setting("text: the original's lines; json: one JSON object a line.")
    ] = LogFormat.TEXT

    # --- Where the configuration itself comes from
    enable_envvars_config: Annotated[
        bool, Setting("Let TS_* environment variables beat command line and file.", env=None)
    ] = False
    log_config: Annotated[
        Path | None, of_run("log4j2.xml to take levels and file names from.", flag="--log-config")
    ] = None
    snapshots: Annotated[
        bool, of_run("Write and read snapshots; --ncs turns them off.", flag="--ncs")
    ] = True
    config_file: Annotated[
        Path | None,
        of_run("The file that was read.", env="TS_CONFIG_FILE", flag="--ts-config"),
    ] = None
    log_location: Annotated[Path, of_run("Folder of the logs.", env="LOG_LOCATION")] = Path("logs")
    metrics_location: Annotated[
        Path, of_run("Folder of the metric logs.", env="METRICS_LOCATION")
    ] = Path("logs")
    temp_dir: Annotated[
        Path | None, of_run("Where archives are unpacked; default: the system's.", env="TEMP")
    ] = None
    kept: Annotated[
        dict[str, str], of_run("Keys of the file that no setting has; snapshots keep them.")
    ] = msgspec.field(default_factory=dict)

    # --- Written by snapshots of the original
    python: Annotated[
        str,
        Setting(
            "Interpreter of the workers: always the one that runs the server.",
            env=None,
            effect=Effect.RECORDED,
        ),
    ] = sys.executable
    version: Annotated[
        str, Setting("Release that wrote a snapshot.", env=None, effect=Effect.RECORDED)
    ] = TORCHSERVE_VERSION
    tsConfigFile: Annotated[  # noqa: N815 - the key's spelling
        str | None, Setting("File a snapshot came from.", env=None, effect=Effect.RECORDED)
    ] = None

    # --- Without meaning here
    number_of_netty_threads: Annotated[int, jvm_only("HTTP threads of the original.")] = 0
    netty_client_threads: Annotated[int, jvm_only("Worker socket threads of the original.")] = 0
    prefer_direct_buffer: Annotated[bool, jvm_only("Buffers outside the JVM heap.")] = False
    use_native_io: Annotated[bool, jvm_only("Native sockets of the JVM.", env=None)] = True
    io_ratio: Annotated[int, jvm_only("Share of I/O in an event loop.", env=None)] = 50
    async_logging: Annotated[bool, jvm_only("Logging apart from requests: it always is here.")] = (
        False
    )
    vmargs: Annotated[
        str | None,
        jvm_only("JVM arguments; only -Dlog4j.configurationFile is taken from them.", env=None),
    ] = None
    plugins_path: Annotated[
        str | None, jvm_only("Java plugins, which cannot be run here.", env=None)
    ] = None
    cpp_log_config: Annotated[str | None, jvm_only("Log settings of C++ workers.")] = None
    model_server_home: Annotated[str | None, jvm_only("Installation folder of the original.")] = (
        None
    )
    NUM_WORKERS: Annotated[
        int, jvm_only("Read only by a Java plugin of the original.", env=None)
    ] = 1
