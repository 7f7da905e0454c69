"""Request envelopes: between the request and the handler."""

from __future__ import annotations
