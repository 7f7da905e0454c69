"""A handler that does nothing, so that only the server is measured."""


def handle(data, _context):
    return None if data is None else ["ok"] * len(data)
