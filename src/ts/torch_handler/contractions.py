"""English contractions."""

from __future__ import annotations

from flambeau.handlers.text_cleanup import CONTRACTION_MAP as CONTRACTION_MAP
