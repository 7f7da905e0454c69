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
STRANGERS = ("q7x3v.invalid", "203.0.113.77", "[2001:db8::77]")
"""A name and addresses that nobody lists: they are set aside for examples."""


@dataclass(frozen=True, slots=True)
class AllowedUrls:
    """Patterns of which a URL must match one in full, whatever the case."""

    patterns: tuple[re.Pattern[str], ...]

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
        return cls(tuple(patterns))

    def allows(self, url: str) -> bool:
        """True when the whole of ``url`` matches a pattern."""
        return len(url) <= LONGEST_URL and any(p.fullmatch(url) for p in self.patterns)

    def lists(self, url: str) -> bool:
        """True when a pattern names the host of an http or https URL, not just any host.

        Such a pattern no longer matches once another host stands in its place.
        """
        from urllib3.exceptions import LocationParseError  # noqa: PLC0415 - only for downloads
        from urllib3.util import parse_url  # noqa: PLC0415 - the same

        try:
            parts = parse_url(url)
        except LocationParseError:
            return False
        others = [parts._replace(host=host).url for host in STRANGERS]
        return any(
            pattern.fullmatch(url)
            and pattern.fullmatch(parts.url)
            and not any(pattern.fullmatch(other) for other in others)
            for pattern in self.patterns
        )


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
