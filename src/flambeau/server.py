"""Builds every part, starts them in order, stops them in reverse.

``run`` is the server process, called by ``cli.run``. One exit stack holds what was started:
stopping is the same list backwards - listeners first, so that nothing new arrives, then the
accepted work, then the workers, then the logs. Reading this file is reading the architecture.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau import __version__, parts
from flambeau.archive import scratch
from flambeau.build import build
from flambeau.config.options import TORCHSERVE_VERSION
from flambeau.control.plane import ControlPlane
from flambeau.http.listeners import Address, open_listener
from flambeau.logs.logs import IDLE_PAUSE, PAUSE
from flambeau.metrics import accelerators
from flambeau.metrics.loop_lag import LoopWatch
from flambeau.metrics.printed import PrintedMetrics
from flambeau.metrics.system import watch
from flambeau.rest.app import RestApp
from flambeau.rest.desk import Desk
from flambeau.rest.endpoints import elsewhere, served
from flambeau.rest.route import Api, Site, When
from flambeau.spread import spread

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from flambeau.archive.store import ModelStore
    from flambeau.config.options import Options
    from flambeau.grpc.server import GrpcServers
    from flambeau.http.listeners import Listener
    from flambeau.logs.logs import Logs
    from flambeau.metrics.registry import Metrics
    from flambeau.security.gate import Gate

logger = logging.getLogger("flambeau.server")

STARTED = "Model server started."
"""The line scripts and tests wait for on standard output."""


class CannotStart(Exception):  # noqa: N818 - named after the situation
    """The server cannot start; the message says why and what to do."""


END_WAIT = 10.0
"""Seconds the loop may take to close once everything has been stopped and written."""


def run(options: Options, *, notices: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; the exit code: 0 after a stop that was asked for."""
    with asyncio.Runner(loop_factory=parts.loop_factory()) as runner:
        code = _served(runner, Server(options, notices))
        # Nothing is left to lose: what keeps the loop from closing must not keep the process.
        last = threading.Timer(END_WAIT, _leave, (code,))
        last.daemon = True
        last.start()
    last.cancel()
    return code


def _served(runner: asyncio.Runner, server: Server) -> int:
    try:
        runner.run(server.run())
    except OSError as error:
        sys.stderr.write(f"{_reason(error)}\n")
        return 1
    except (CannotStart, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _leave(code: int) -> None:
    """End the process although its event loop does not."""
    sys.stderr.write(f"the event loop did not close within {END_WAIT:g} s; leaving all the same\n")
    sys.stderr.flush()
    os._exit(code)


class Server:
    """One server process."""

    def __init__(self, options: Options, notices: Sequence[str] = ()) -> None:
        self._options = options
        self._notices = notices
        self._stop = asyncio.Event()
        self._listeners: list[Listener] = []
        self._grpc: GrpcServers | None = None

    async def run(self) -> None:
        """Start everything, say so, wait for a signal, stop everything."""
        options = self._options
        async with AsyncExitStack() as started:
            logs = await self._start_logs(started)
            self._say_what_runs()
            temp = self._make_temp(started)
            self._listen_to_signals(temp)
            gate = parts.gate(options)
            metrics = parts.metrics(options, logs)
            started.callback(metrics.flush, last=True)
            self._own(started, _write_logs(metrics, logs), "log lines")
            store = parts.model_store(options, temp)
            await asyncio.to_thread(store.sweep)
            plane = self._make_plane(started, store, logs, metrics)
            await self._load_models(plane)
            await self._open_listeners(started, plane, gate, metrics, logs)
            await self._open_grpc(started, plane, gate, logs)
            self._start_readings(started, plane, metrics)
            # From here on a stop is gentle: no new connections, then what was accepted, and only
            # then the connections it came from.
            started.push_async_callback(plane.stop, options.drain_timeout)
            started.callback(self._close_listeners)
            await plane.save("startup")
            gc.collect()
            gc.freeze()
            started.callback(LoopWatch(metrics.loop_lag.record).close)
            sys.stdout.write(f"{STARTED}\n")
            sys.stdout.flush()
            await self._stop.wait()
            logger.info("stopping: accepted requests get %g s", options.drain_timeout)
            await plane.save("shutdown")

    # -- the parts, in the order they are started

    async def _start_logs(self, started: AsyncExitStack) -> Logs:
        logs, notices = parts.logs(self._options)
        logs.install()
        for notice in notices:
            logger.warning("%s", notice)
        started.callback(logs.close)
        return logs

    def _say_what_runs(self) -> None:
        options = self._options
        logger.info(
            "flambeau %s, %s (TorchServe %s interface)", __version__, build(), TORCHSERVE_VERSION
        )
        for name in ("inference_address", "management_address", "metrics_address", "model_store"):
            logger.info("%s: %s", name, getattr(options, name))
        for notice in self._notices:
            logger.warning("%s", notice)

    def _make_temp(self, started: AsyncExitStack) -> Path:
        folder = self._options.temp_dir or Path(tempfile.gettempdir())
        for left in scratch.sweep(folder):
            logger.warning("removed %s, left by a server that was killed", left)
        temp = scratch.Scratch(folder)
        started.callback(temp.remove)
        return temp.folder

    def _listen_to_signals(self, temp: Path) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if not self._stop.is_set():
                self._stop.set()
                return
            shutil.rmtree(temp, ignore_errors=True)
            os._exit(1)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    def _make_plane(
        self, started: AsyncExitStack, store: ModelStore, logs: Logs, metrics: Metrics
    ) -> ControlPlane:
        options = self._options
        numbers = itertools.count(options.initial_worker_port)
        rule = parts.environment_rule(options)
        launchers = parts.launchers(options, rule, PrintedMetrics(metrics, logs.model.write))
        started.push_async_callback(launchers.close)
        plane = ControlPlane(
            store,
            parts.workshop(options, launchers, rule, numbers.__next__),
            metrics,
            parts.defaults(options),
            unregister_timeout=options.unregister_model_timeout,
            gpu_usage=accelerators.usage,
            write_snapshot=parts.snapshot_writer(options),
        )
        started.push_async_callback(plane.stop, 0.0)
        return plane

    async def _load_models(self, plane: ControlPlane) -> None:
        """Unpack and register the start-up models; their workers load while we go on."""
        options = self._options
        if options.model_snapshot is not None:
            await self._restore(plane)
            return
        if not options.load_models:
            return
        assert options.model_store is not None
        for entry in plane.startup_entries(options.load_models):
            if self._stop.is_set():
                return
            await plane.load_at_startup(entry)

    async def _restore(self, plane: ControlPlane) -> None:
        """Register what a snapshot holds. Raises CannotStart when an archive is not there."""
        saved = parts.saved_versions(self._options)
        missing = sorted({one.archive for one in saved if not plane.holds(one.archive)})
        if missing:
            raise CannotStart(
                f"The snapshot {self._options.config_file} names archives that are not in the "
                f"model store: {', '.join(missing)}. Put them there, or start with --ncs."
            )
        for one in saved:
            await plane.restore(one)

    async def _open_listeners(
        self,
        started: AsyncExitStack,
        plane: ControlPlane,
        gate: Gate,
        metrics: Metrics,
        logs: Logs,
    ) -> None:
        options = self._options
        desk = Desk(logs.access, metrics, parts.cors(options))
        conditions = [When.TOKENS] if gate.tokens is not None else []
        for text, apis in parts.addresses(options).items():
            address = Address.parse(text)
            site = Site(
                plane=plane,
                endpoints=served(apis, conditions),
                apis=frozenset(apis),
                gate=gate,
                metrics=metrics,
                server_version=TORCHSERVE_VERSION,
                elsewhere=elsewhere(apis),
                elsewhere_url=options.metrics_address if Api.METRICS not in apis else "",
            )
            app = RestApp(site, desk)
            started.push_async_callback(app.close)
            listener = await open_listener(
                address,
                app,
                desk.refuse,
                parts.limits(options),
                parts.tls(options) if address.tls else None,
            )
            self._listeners.append(listener)
            started.push_async_callback(self._finish, listener)
            logger.info("%s API listens on %s", ", ".join(apis), text)

    async def _open_grpc(
        self, started: AsyncExitStack, plane: ControlPlane, gate: Gate, logs: Logs
    ) -> None:
        options = self._options
        if not options.enable_grpc_api:
            return
        servers = (await asyncio.to_thread(_grpc_servers))(
            plane, gate, logs.access, parts.sequence_headers(options), TORCHSERVE_VERSION
        )
        self._grpc = servers
        started.push_async_callback(servers.finish, parts.FLUSH_TIMEOUT)
        for place in parts.grpc_places(options):
            await servers.open(place)

    def _start_readings(
        self, started: AsyncExitStack, plane: ControlPlane, metrics: Metrics
    ) -> None:
        options = self._options
        if not options.disable_system_metrics:
            work = watch(
                metrics,
                options.metric_time_interval,
                options.system_metrics_cmd,
                plane.worker_pids,
            )
            self._own(started, work, "system metrics")

    # -- stopping

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._grpc is not None:
            self._grpc.close(self._options.drain_timeout)

    async def _finish(self, listener: Listener) -> None:
        """Let the last answers out, then end what is left."""
        listener.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener.drained(), parts.FLUSH_TIMEOUT)
        listener.abort()

    def _own(
        self, started: AsyncExitStack, work: Coroutine[object, object, None], name: str
    ) -> None:
        """Run ``work`` until the server stops."""
        task = asyncio.create_task(work, name=name)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        started.push_async_callback(end)


def _reason(error: OSError) -> str:
    """What the system said, and of which file, without its number."""
    if error.strerror is None or error.filename is not None:
        return str(error)
    return error.strerror


def _grpc_servers() -> type[GrpcServers]:
    """The gRPC face, imported off the event loop and once REST answers: it takes a while."""
    from flambeau.grpc.server import GrpcServers  # noqa: PLC0415 - see above

    return GrpcServers


async def _write_logs(metrics: Metrics, logs: Logs) -> None:
    while True:
        await asyncio.sleep(PAUSE if logs.access.waiting else IDLE_PAUSE)
        await spread(metrics.form())
        await spread(logs.form())
