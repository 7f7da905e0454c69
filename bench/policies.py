"""``python -m bench.policies``: what waiting for a full batch gains and costs, as a Markdown table.

The figures behind the choice of ``adaptive`` as the default, shown in docs/batching.md. Batch 8, one
worker, a handler that takes 4 ms and 0.25 ms per request.
"""

from __future__ import annotations

from bench.measure import sample
from bench.servers import flambeau
from bench.workloads import Workload

CONNECTIONS = (1, 4, 16, 64)
POLICIES = (("adaptive", 5), ("strict", 5), ("strict", 50))
SECONDS = 3


def main() -> None:
    cells = " | ".join(f"{each} at once" for each in CONNECTIONS)
    print(f"| requests/s (median ms) | {cells} |")
    print("|---|" + "--:|" * len(CONNECTIONS))
    for policy, delay in POLICIES:
        workload = Workload("policy", "", "device", 8, CONNECTIONS[0], delay=delay)
        server = flambeau(workload, batching=policy)
        try:
            server.wait_for(workload)
            row = []
            for connections in CONNECTIONS:
                load = Workload("policy", "", "device", 8, connections, delay=delay)
                sample(server, load, 1)
                taken = sample(server, load, SECONDS)
                row.append(f"{taken.rate:,.0f} ({taken.p50_ms:.1f})")
        finally:
            server.stop()
        name = policy if policy == "adaptive" else f"{policy}, {delay} ms"
        print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
