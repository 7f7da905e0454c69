"""A handler whose batch costs 4 ms and 0.25 ms per request, as a device does: the core is free meanwhile."""

import time


def handle(data, _context):
    if data is None:
        return None
    time.sleep(0.004 + 0.00025 * len(data))
    return ["ok"] * len(data)
