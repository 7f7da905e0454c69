"""``VLLMHandler``: large language models with vLLM, asked by OpenAI's API.

The path behind the model's name and version selects the call: ``v1/models``, ``v1/completions``
or ``v1/chat/completions``. Reads ``handler.model_path``, ``handler.vllm_engine_config`` and
``handler.adapters`` of the model config. Needs vllm; the model wants ``asyncCommunication: true``.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.handlers.base_handler import BaseHandler
from flambeau.handlers.envelopes import document
from flambeau.handlers.needs import needed
from flambeau.worker.failures import PredictionException
from flambeau.worker.streaming import send_intermediate_predict_response

if TYPE_CHECKING:
    from flambeau.worker.context import Context

logger = logging.getLogger(__name__)

OPENAI = "vllm.entrypoints.openai"


class VLLMHandler(BaseHandler):
    """Answers one OpenAI request at a time; the engine batches what runs beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.vllm_engine: Any = None
        self.model_name: str | None = None
        self.model_dir: Path | None = None
        self.adapters: dict[str, str] = {}
        self._services: dict[str, Any] | None = None

    def initialize(self, ctx: Context) -> None:
        """Start the engine. Raises ImportError without vllm, ValueError for a bad config."""
        needed("vllm", "vllm_handler")
        self.context = ctx
        self.model_dir = Path(ctx.system_properties["model_dir"])
        config = (ctx.model_yaml_config or {}).get("handler") or {}
        self.model_name = ctx.model_name
        self.adapters = config.get("adapters") or {}
        arguments = self._get_vllm_engine_config(config)
        engine = needed("vllm.engine.async_llm_engine", "vllm_handler", "vllm")
        self.vllm_engine = engine.AsyncLLMEngine.from_engine_args(arguments)
        self.initialized = True

    def _get_vllm_engine_config(self, handler_config: dict[str, Any]) -> Any:
        """VLLM's AsyncEngineArgs with every field ``vllm_engine_config`` names."""
        arguments = needed("vllm.engine.arg_utils", "vllm_handler", "vllm").AsyncEngineArgs
        config = dict(handler_config.get("vllm_engine_config") or {})
        model = handler_config.get("model_path")
        if model and (Path(str(self.model_dir)) / model).exists():
            model = str(Path(str(self.model_dir)) / model)
        config.setdefault("model", model)
        if not config["model"]:
            raise ValueError("model-config.yaml lacks handler.model_path, which vLLM needs")
        try:
            return arguments(**config)
        except TypeError as error:
            raise ValueError(f"handler.vllm_engine_config of model-config.yaml: {error}") from error

    async def handle(self, data: list[Any], context: Context) -> list[Any]:
        """The answer to a batch of one."""
        started = time.perf_counter()
        self.context = context
        requests = await self.preprocess(data, context)
        answers = await self.postprocess(await self.inference(requests, context))
        elapsed_ms = round((time.perf_counter() - started) * 1000, 2)
        context.metrics.add_time("HandlerTime", elapsed_ms, None, "ms")
        return answers

    async def preprocess(self, requests: list[Any], context: Context) -> list[Any]:  # type: ignore[override]  # asynchronous by contract  # noqa: ARG002
        """The JSON document of each request. Raises PredictionException for anything else."""
        if len(requests) != 1:
            raise PredictionException("vllm_handler takes batches of one: set batchSize: 1", 400)
        try:
            return [document(row) if row.get("body") or row.get("data") else {} for row in requests]
        except ValueError as error:
            raise PredictionException(f"the request is no JSON: {error}", 400) from error

    async def inference(self, input_batch: list[Any], context: Context) -> list[Any]:
        """What OpenAI's API answers to each request; streams are sent while they run."""
        path = (context.get_request_header(0, "url_path") or "").strip("/")
        services = await self._served()
        if path == "v1/models":
            return [(await services["models"].show_available_models()).model_dump()]
        if path == "v1/completions":
            request = services["CompletionRequest"](**input_batch[0])
            answer = await services["completion"].create_completion(request)
        elif path == "v1/chat/completions":
            request = services["ChatCompletionRequest"](**input_batch[0])
            answer = await services["chat"].create_chat_completion(request)
        else:
            raise PredictionException(f"Unsupported API endpoint: {path}", 404)
        if hasattr(answer, "__aiter__"):
            return [await self._streamed(answer, context)]
        if hasattr(answer, "code") and hasattr(answer, "message"):
            raise PredictionException(answer.message, int(answer.code))
        return [answer.model_dump()]

    async def _streamed(self, pieces: Any, context: Context) -> str:
        """Send each server-sent event but the last, which is returned."""
        context.set_response_content_type(0, "text/event-stream")
        held = ""
        async for piece in pieces:
            if held:
                if context.is_cancelled():
                    break
                ids = context.request_ids or {}
                send_intermediate_predict_response([held], ids, "piece", 200, context)
            held = piece if isinstance(piece, str) else json.dumps(piece)
        return held

    async def postprocess(self, inference_outputs: list[Any]) -> list[Any]:
        """The answers as they are."""
        return inference_outputs

    async def _served(self) -> dict[str, Any]:
        """VLLM's OpenAI services, made at the first request: they want a running event loop."""
        if self._services is None:
            self._services = await self._make_services()
        return self._services

    async def _make_services(self) -> dict[str, Any]:
        serving = needed(f"{OPENAI}.serving_models", "vllm_handler", "vllm")
        completion = needed(f"{OPENAI}.serving_completion", "vllm_handler", "vllm")
        chat = needed(f"{OPENAI}.serving_chat", "vllm_handler", "vllm")
        protocol = needed(f"{OPENAI}.protocol", "vllm_handler", "vllm")
        model_config = await self.vllm_engine.get_model_config()
        names = [serving.BaseModelPath(name=self.model_name, model_path=model_config.model)]
        loras = [
            serving.LoRAModulePath(name=name, path=str(Path(str(self.model_dir)) / path))
            for name, path in self.adapters.items()
        ]
        models = serving.OpenAIServingModels(
            engine_client=self.vllm_engine,
            model_config=model_config,
            base_model_paths=names,
            lora_modules=loras or None,
        )
        config = (self.context.model_yaml_config or {}).get("handler") or {}
        template = config.get("chat_template")
        if template and (Path(str(self.model_dir)) / template).is_file():
            template = (Path(str(self.model_dir)) / template).read_text(encoding="utf-8")
        return {
            "models": models,
            "completion": completion.OpenAIServingCompletion(
                self.vllm_engine, model_config, models, request_logger=None
            ),
            "chat": chat.OpenAIServingChat(
                self.vllm_engine,
                model_config,
                models,
                "assistant",
                request_logger=None,
                chat_template=template,
                chat_template_content_format="auto",
            ),
            "CompletionRequest": protocol.CompletionRequest,
            "ChatCompletionRequest": protocol.ChatCompletionRequest,
        }
