"""Instances and predictions."""

from __future__ import annotations

from flambeau.handlers.envelopes import BaseEnvelope as BaseEnvelope
from flambeau.handlers.envelopes import JSONEnvelope as JSONEnvelope
