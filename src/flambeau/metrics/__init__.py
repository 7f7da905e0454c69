"""Counts, times and machine readings, and the forms they are shown in."""
