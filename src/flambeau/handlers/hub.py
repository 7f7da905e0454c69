"""Downloads from the Hugging Face hub (``ts.utils.hf_utils``). Needs huggingface_hub."""

from __future__ import annotations

import os

from flambeau.handlers.needs import needed


def download_model(
    model_id: str = "meta-llama/Meta-Llama-3.1-8B-Instruct",
    revision: str = "main",
    model_path: str = ".cache",
    use_auth_token: bool = True,  # noqa: FBT001, FBT002 - positional in the public API
) -> str:
    """The folder of the model's snapshot, downloaded unless it is there.

    With ``use_auth_token`` the token in HUGGINGFACE_TOKEN, or the one of a login, is sent.
    """
    hub = needed("huggingface_hub", "download_model")
    token = os.environ.get("HUGGINGFACE_TOKEN", use_auth_token) if use_auth_token else False
    return str(
        hub.snapshot_download(model_id, revision=revision, cache_dir=model_path, token=token)
    )
