"""KServe v2."""

from __future__ import annotations

from flambeau.handlers.envelope_kservev2 import KServev2Envelope as KServev2Envelope
from flambeau.handlers.envelopes import BaseEnvelope as BaseEnvelope
