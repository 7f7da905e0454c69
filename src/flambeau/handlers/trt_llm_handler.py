"""``TRTLLMHandler``: large language models with TensorRT-LLM.

A request is ``{"prompt": …, "streaming": true|false, …sampling parameters}``. Reads
``handler.engine_dir``, ``handler.tokenizer_dir`` and ``handler.kv_cache_config`` of the model
config. Needs tensorrt_llm; the model wants ``asyncCommunication: true``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.handlers.base_handler import BaseHandler
from flambeau.handlers.envelopes import document
from flambeau.handlers.needs import needed
from flambeau.worker.failures import PredictionException
from flambeau.worker.streaming import send_intermediate_predict_response

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class TRTLLMHandler(BaseHandler):
    """Answers one prompt at a time; the engine batches what runs beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.trt_llm_engine: Any = None

    def initialize(self, ctx: Context) -> None:
        """Start the engine. Raises ImportError without tensorrt_llm, ValueError for a bad config."""
        hlapi = needed("tensorrt_llm", "trt_llm_handler")
        self.context = ctx
        model_dir = Path(ctx.system_properties["model_dir"])
        config = (ctx.model_yaml_config or {}).get("handler") or {}
        for key in ("engine_dir", "tokenizer_dir"):
            if not config.get(key):
                raise ValueError(f"model-config.yaml lacks handler.{key}, which TensorRT-LLM needs")
        cache = needed("tensorrt_llm.llmapi", "trt_llm_handler", "tensorrt_llm").KvCacheConfig
        self.trt_llm_engine = hlapi.LLM(
            model=str(model_dir / config["engine_dir"]),
            tokenizer=str(model_dir / config["tokenizer_dir"]),
            kv_cache_config=cache(**(config.get("kv_cache_config") or {})),
        )
        self.initialized = True

    async def handle(self, data: list[Any], context: Context) -> list[Any]:
        """The answer to a batch of one."""
        self.context = context
        requests = await self.preprocess(data)
        return await self.postprocess(await self.inference(requests, context))

    async def preprocess(self, requests: list[Any]) -> list[Any]:
        """The JSON document of each request. Raises PredictionException for anything else."""
        if len(requests) != 1:
            raise PredictionException("trt_llm_handler takes batches of one: set batchSize: 1", 400)
        try:
            asked = document(requests[0])
        except ValueError as error:
            raise PredictionException(f"the request is no JSON: {error}", 400) from error
        if not isinstance(asked, dict) or "prompt" not in asked:
            raise PredictionException('the request lacks "prompt"', 400)
        return [dict(asked)]

    async def inference(self, data: list[Any], context: Context) -> list[Any]:
        """The generated text; with ``streaming`` its pieces are sent while it grows."""
        asked = data[0]
        prompt = asked.pop("prompt")
        streaming = bool(asked.pop("streaming", False))
        sampling = needed("tensorrt_llm", "trt_llm_handler").SamplingParams(**asked)
        generation = self.trt_llm_engine.generate_async(prompt, sampling, streaming=streaming)
        if not streaming:
            result = await generation
            return [result.outputs[0].text]
        sent, held = 0, ""
        async for step in generation:
            text = step.outputs[0].text
            if held:
                ids = context.request_ids or {}
                send_intermediate_predict_response([held], ids, "piece", 200, context)
            held = json.dumps({"text": text[sent:]})
            sent = len(text)
            if context.is_cancelled():
                generation.abort()
                break
        return [held]

    async def postprocess(self, outputs: list[Any]) -> list[Any]:
        """The answers as they are."""
        return outputs
