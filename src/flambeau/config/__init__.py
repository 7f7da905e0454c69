"""Settings: one table, and who wins when several places give a value."""
