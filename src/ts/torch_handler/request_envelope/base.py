"""What every envelope has."""

from __future__ import annotations

from flambeau.handlers.envelopes import BaseEnvelope as BaseEnvelope
