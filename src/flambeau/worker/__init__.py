"""The program that runs a handler, one process for each worker."""
