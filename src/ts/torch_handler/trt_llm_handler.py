"""Large language models with TensorRT-LLM."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.trt_llm_handler import TRTLLMHandler as TRTLLMHandler
from flambeau.worker.streaming import (
    send_intermediate_predict_response as send_intermediate_predict_response,
)
