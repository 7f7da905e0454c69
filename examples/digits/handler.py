"""Pictures of digits in, the recognised digit and its probability out, a batch at a time.

A request is a PNG file (8x8, grey, white on black) or JSON: eight rows of eight numbers from 0 to
16, as scikit-learn has them. A picture that cannot be read fails with 400 and says why.
"""

from __future__ import annotations

from typing import Any

import torch
from png import read_png

from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException

SIDE = 8


class DigitHandler(BaseHandler):
    """Loading and inference are BaseHandler's; only the two ends are ours."""

    def preprocess(self, data: list[dict[str, Any]]) -> torch.Tensor:
        """The batch as one tensor of shape (n, 1, 8, 8)."""
        pictures = [self.picture(row.get("data") or row.get("body")) for row in data]
        return torch.stack(pictures).to(self.device)

    def picture(self, value: object) -> torch.Tensor:
        """One picture of shape (1, 8, 8), values 0 to 1."""
        if value is None:  # A form without that field, which is what curl -d sends.
            raise PredictionException(
                "no picture came: send it as the body (curl -T digit.png) or as the form field "
                "'data' (curl -F data=@digit.png)",
                400,
            )
        try:
            if isinstance(value, (bytes, bytearray)):
                pixels = torch.tensor(read_png(bytes(value)), dtype=torch.float32) / 255
            else:
                pixels = torch.tensor(value, dtype=torch.float32) / 16
        except (ValueError, TypeError, RuntimeError) as error:
            raise PredictionException(f"cannot read the picture: {error}", 400) from error
        if pixels.shape != (SIDE, SIDE):
            raise PredictionException(
                f"a picture of {SIDE}x{SIDE} is needed, this one is {'x'.join(map(str, pixels.shape))}",
                400,
            )
        return pixels.unsqueeze(0)

    def postprocess(self, data: torch.Tensor) -> list[dict[str, Any]]:
        """One answer per picture."""
        probabilities, digits = torch.softmax(data, dim=1).max(dim=1)
        pairs = zip(digits.tolist(), probabilities.tolist(), strict=True)
        return [{"digit": digit, "probability": round(p, 4)} for digit, p in pairs]
