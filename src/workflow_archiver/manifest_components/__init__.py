"""The parts of MANIFEST.json."""
