"""The mosec side: the same handler functions behind a mosec worker, one process.

Started by ``servers.mosec`` with the interpreter of mosec's own environment; the command line
belongs to mosec, so what to serve comes by environment.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from mosec import Server, Worker

BATCH = int(os.environ["BENCH_BATCH"])
JSON_BODIES = os.environ["BENCH_CONTENT_TYPE"] == "application/json"


class Bench(Worker):
    def __init__(self):
        super().__init__()
        sys.path.insert(0, str(Path(__file__).parent / "handlers"))
        self.handle = importlib.import_module(os.environ["BENCH_HANDLER"]).handle
        self.handle(None, None)

    def deserialize(self, data):
        return json.loads(data) if JSON_BODIES else data

    def serialize(self, data):
        return data.encode() if isinstance(data, str) else json.dumps(data).encode()

    def forward(self, data):
        if BATCH == 1:
            return self.handle([{"body": data}], None)[0]
        return self.handle([{"body": each} for each in data], None)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Bench, num=1, max_batch_size=BATCH, max_wait_time=1)
    server.run()
