"""A v2 response as an HTTP body: JSON, with tensors as bytes behind it where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.tensors.json_text import written

if TYPE_CHECKING:
    from flambeau.tensors.answers import Response
    from flambeau.tensors.asked import Asked


def body_of(response: Response, asked: Asked) -> tuple[bytes, int | None]:
    """The body, and the length of the JSON in front of the bytes; None when it is all JSON.

    Raises AnswerError for values that do not fit their datatype.
    """
    document: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "id": response.id,
    }
    if response.parameters:
        document["parameters"] = response.parameters
    shown = document["outputs"] = []
    pieces: list[bytes] = []
    for output in response.outputs:
        if not asked.as_bytes(output.name):
            shown.append(output.document())
            continue
        raw = output.raw()
        pieces.append(raw)
        shown.append(
            {
                "name": output.name,
                "datatype": output.datatype,
                "shape": output.shape,
                "parameters": output.raw_parameters(binary_data_size=len(raw)),
            }
        )
    head = written(document)
    if not pieces:
        return head, None
    return b"".join((head, *pieces)), len(head)
