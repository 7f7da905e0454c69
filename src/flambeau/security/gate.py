"""May this call pass? Both faces ask the one gate before they do anything else.

``Gate.check`` returns nothing or raises InvalidKey. It knows keys and their reach, but no path
and no method: the faces say which API a row belongs to, which model it names, and whether it
changes anything.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flambeau.errors import InvalidKey
from flambeau.security.tokens import AUTHENTICATION_FAILED, Allow

if TYPE_CHECKING:
    from flambeau.security.tokens import Credential, Tokens

AUTHORIZATION_FAILED = (
    "Token Authorization failed. Token either incorrect, expired, or not provided correctly"
)
_log = logging.getLogger("flambeau.security")


class Gate:
    """The check in front of every operation. Without tokens it lets every caller pass.

    ``model_api`` says whether models may be registered and unregistered through the faces. The
    server's own callers of the control plane - start-up, a restart - pass no gate.
    """

    def __init__(self, tokens: Tokens | None, *, model_api: bool = False) -> None:
        self.tokens = tokens
        self.model_api = model_api

    @classmethod
    def off(cls, *, model_api: bool = False) -> Gate:
        """A gate that lets every caller pass: token authorization is switched off."""
        return cls(None, model_api=model_api)

    def check(
        self,
        api: str,
        authorization: bytes | None,
        *,
        model: str | None = None,
        write: bool = False,
    ) -> None:
        """Let the call pass, or raise InvalidKey.

        ``api`` is ``inference``, ``management``, ``token`` (renewal) or ``metrics`` (always
        open). ``model`` is the model the call names, None when it names none. ``write`` says
        that a management call changes something.
        """
        tokens = self.tokens
        if tokens is None or api == "metrics":
            return
        credential = tokens.finds(authorization) if authorization is not None else None
        if credential is None or not (
            (api == "inference" and credential is tokens.inference)  # the hot path
            or _reaches(credential, api, model, write=write)
        ):
            raise InvalidKey(AUTHENTICATION_FAILED if api == "token" else AUTHORIZATION_FAILED)


def _reaches(credential: Credential, api: str, model: str | None, *, write: bool) -> bool:
    if api == "inference":
        needed = Allow.INFERENCE
    elif api == "token":
        needed = Allow.RENEW
    else:
        needed = Allow.MANAGE if write else Allow.READ
    if needed not in credential.allow:
        reason = f"it does not allow {needed.value}"
    elif credential.models is None or model in credential.models:
        return True
    elif model is None and api == "inference":
        return True  # Health checks name no model and tell nothing about one.
    else:
        reason = f"it is not for model {model}" if model else "it is for single models only"
    _log.info("refused token name=%s api=%s: %s", credential.name, api, reason)
    return False
