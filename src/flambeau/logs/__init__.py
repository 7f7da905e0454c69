"""The logs: what is written where, in which form, by which thread."""
