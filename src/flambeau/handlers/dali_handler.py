"""``DALIHandler``: images decoded and prepared on the device by a DALI pipeline.

The pipeline is a file of the archive, named by ``dali.pipeline_file``; it reads from an external
source called ``source``. Needs DALI and numpy; captum only for explanations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.handlers.base_handler import BaseHandler
from flambeau.handlers.dali_pipelines import PACKAGE, get_dali_pipeline
from flambeau.handlers.needs import needed
from flambeau.handlers.vision_handler import EXPLAIN_STEPS

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class DALIHandler(BaseHandler):
    """Turns the encoded images of a batch into one tensor."""

    pipeline: Any = None

    def initialize(self, context: Context) -> None:
        """Load the model and build the pipeline."""
        super().initialize(context)
        self.pipeline = get_dali_pipeline(context)
        self.pipeline.build()

    def preprocess(self, data: list[Any]) -> Any:
        """The images of the batch as the pipeline leaves them."""
        numpy = needed("numpy", "a DALI handler")
        plugin = needed("nvidia.dali.plugin.pytorch", "a DALI handler", PACKAGE)
        images = []
        for row in data:
            image = row.get("data") or row.get("body")
            images.append(numpy.frombuffer(image, dtype=numpy.uint8))
        # The pipeline's batches have one size; what is missing is filled with the last image.
        size = self.pipeline.max_batch_size
        padded = images + [images[-1]] * (size - len(images))
        self.pipeline.feed_input("source", padded[:size])
        iterator = plugin.DALIGenericIterator(
            [self.pipeline], ["data"], size=-1, last_batch_padded=True, prepare_first_batch=False
        )
        return next(iterator)[0]["data"][: len(images)].to(self.device)

    def get_insights(self, tensor_data: Any, _: Any, target: int = 0) -> Any:
        """How much each pixel speaks for ``target``, in the shape of the input."""
        attr = needed("captum.attr", "an explanation", "captum")
        gradients = attr.IntegratedGradients(self.model)
        return gradients.attribute(tensor_data, target=target, n_steps=EXPLAIN_STEPS).tolist()
