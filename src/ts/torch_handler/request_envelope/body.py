"""Rows without their dicts."""

from __future__ import annotations

from flambeau.handlers.envelopes import BaseEnvelope as BaseEnvelope
from flambeau.handlers.envelopes import BodyEnvelope as BodyEnvelope
