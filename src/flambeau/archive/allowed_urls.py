"""Which URLs archives may be fetched from: the setting ``allowed_urls``.

Built once at start-up, asked by ``archive.store`` for the URL of a request and by
``archive.download`` for every redirect. It looks at the text of a URL only; addresses are a
matter of ``archive.addresses``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT = "file://.*|http(s)?://.*"
LONGEST_URL = 8192


@dataclass(frozen=True, slots=True)
class AllowedUrls:
    """Patterns of which a URL must match one in full, whatever the case."""

    patterns: tuple[re.Pattern[str], ...]
    explicit: bool
    """True when an operator listed them, False for the pattern that lets everything through."""

    @classmethod
    def parse(cls, setting: str = DEFAULT) -> AllowedUrls:
        """From a comma separated list of regular expressions.

        Commas inside brackets of any kind do not separate. Raises ValueError naming the
        expression that is none.
        """
        patterns = []
        for text in _split(setting):
            try:
                patterns.append(re.compile(text, re.IGNORECASE))
            except re.error as error:
                raise ValueError(
                    f"allowed_urls: {text!r} is not a regular expression: {error}"
                ) from error
        return cls(tuple(patterns), explicit=setting.strip() != DEFAULT)

    def allows(self, url: str) -> bool:
        """True when the whole of ``url`` matches a pattern."""
        return len(url) <= LONGEST_URL and any(p.fullmatch(url) for p in self.patterns)


def _split(setting: str) -> list[str]:
    parts, depth, part, escaped = [], 0, "", False
    for char in setting:
        if char == "," and depth == 0:
            parts.append(part)
            part = ""
            continue
        if not escaped:
            depth += (char in "([{") - (char in ")]}")
        escaped = char == "\\" and not escaped
        part += char
    parts.append(part)
    return [stripped for stripped in (part.strip() for part in parts) if stripped]
