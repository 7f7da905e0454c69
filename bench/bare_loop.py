"""What a handler reaches with no server at all: a loop that decodes a body and calls it.

Run as a program by ``servers.bare_loop``: ``bare_loop.py HANDLER BATCH JSON|RAW SECONDS < body``
prints the requests per second.
"""

import importlib
import json
import sys
from pathlib import Path
from time import perf_counter


def main() -> None:
    name, batch, form, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    body = sys.stdin.buffer.read()
    sys.path.insert(0, str(Path(__file__).parent / "handlers"))
    handle = importlib.import_module(name).handle
    handle(None, None)
    decode = json.loads if form == "JSON" else bytes
    for _ in range(20):
        handle([{"body": decode(body)} for _ in range(batch)], None)
    answered = 0
    begin = perf_counter()
    end = begin + seconds
    while (now := perf_counter()) < end:
        handle([{"body": decode(body)} for _ in range(batch)], None)
        answered += batch
    print(answered / (now - begin))


if __name__ == "__main__":
    main()
