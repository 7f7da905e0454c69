"""What exists only because the original had it; ``ts`` and the archiver packages re-export it."""
