"""Start the server with digits.mar loaded, and print three curl lines once it is ready.

Called by ``make serve``. The server stays closed as it ships, tokens required, so the printed lines
carry the tokens of this run; register and unregister are switched on. The process ends with the
server: Ctrl-C drains and stops it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
STARTED = "Model server started."
READY_LIMIT = 120.0


def tokens() -> tuple[str, str]:
    """Inference and management token of the server that runs in this folder."""
    keys = json.loads(Path("key_file.json").read_text())
    return keys["inference"]["key"], keys["management"]["key"]


def ready(management: str, token: str) -> bool:
    """Whether a worker of the model has loaded."""
    request = urllib.request.Request(
        f"{management}/models/digits", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return any(worker["status"] == "READY" for worker in json.load(reply)[0]["workers"])


def announce(port: int) -> None:
    """Wait for the first worker, then print what to paste."""
    inference, management = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
    inference_token, management_token = tokens()
    limit = time.monotonic() + READY_LIMIT
    try:
        while not ready(management, management_token):
            if time.monotonic() > limit:
                print("digits has no worker yet: see logs/model_log.log", file=sys.stderr)
                return
            time.sleep(0.2)
    except (urllib.error.URLError, OSError) as error:
        print(f"cannot ask the server about digits: {error}", file=sys.stderr)
        return
    predict = f"curl -H 'Authorization: Bearer {inference_token}' {inference}"
    manage = f"curl -H 'Authorization: Bearer {management_token}'"
    picture = shlex.quote(str((HERE / "digit.png").resolve()))
    print(
        f"""
digits is ready. In another terminal: recognise a picture, describe the model, give it a second worker.

  {predict}/predictions/digits -T {picture}

  {manage} {management}/models/digits

  {manage} -X PUT '{management}/models/digits?min_worker=2&synchronous=true'

Keys are asked for, as in production; these are this run's and lie in key_file.json. Ctrl-C stops.
""",
        flush=True,
    )


def main() -> int:
    """The server's exit code."""
    parser = argparse.ArgumentParser(description="Serve digits.mar and print curl lines to try.")
    parser.add_argument("--model-store", default="model-store", help="folder that holds digits.mar")
    parser.add_argument("--port", type=int, default=8080, help="inference; management is the next")
    chosen = parser.parse_args()
    command = [str(Path(sys.executable).parent / "flambeau"), "serve", "--model-api"]
    command += ["--no-snapshots", "--model-store", chosen.model_store, "--port", str(chosen.port)]
    # A session of its own: Ctrl-C then reaches the server once, through us. A second one ends it at once.
    with subprocess.Popen(
        [*command, "digits.mar"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _frame: server.send_signal(received))
        assert server.stdout is not None
        for line in server.stdout:
            print(line, end="", flush=True)
            if STARTED in line:
                threading.Thread(target=announce, args=[chosen.port], daemon=True).start()
    if server.returncode:
        print('Is a port taken? Choose others: make serve ARGS="--port 9080"', file=sys.stderr)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main())
