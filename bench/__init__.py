"""The comparison behind ``make bench``: flambeau, TorchServe 0.12.0 and mosec 0.9.8 under the same load.

``__main__`` runs it, ``workloads`` says what is measured and what is asked, ``servers`` starts each
side, ``measure`` takes one sample with the load of ``wrk``, ``pace`` or ``load``, ``results`` keeps the
rounds, ``report`` and ``plot`` write docs/performance.*. Only the standard library and psutil are
used; the other servers live in environments of their own.
"""
