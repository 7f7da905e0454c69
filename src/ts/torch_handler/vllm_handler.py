"""Large language models with vLLM."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.vllm_handler import VLLMHandler as VLLMHandler
from flambeau.worker.failures import PredictionException as PredictionException
from flambeau.worker.streaming import (
    send_intermediate_predict_response as send_intermediate_predict_response,
)
