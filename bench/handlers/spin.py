"""A handler that computes for one millisecond of processor time per request.

Processor time, not wall time: when something else takes the core away meanwhile, that is the
server's fault and shows in the result.
"""

from time import thread_time


def handle(data, _context):
    if data is None:
        return None
    for _ in data:
        end = thread_time() + 0.001
        while thread_time() < end:
            pass
    return ["ok"] * len(data)
