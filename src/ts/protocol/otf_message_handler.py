"""The wire of the original's workers, and the old home of streaming."""

from __future__ import annotations

from flambeau.compat.functions import deprecated as deprecated
from flambeau.compat.wire import END_OF_LIST as END_OF_LIST
from flambeau.compat.wire import LOAD_MSG as LOAD_MSG
from flambeau.compat.wire import PREDICT_MSG as PREDICT_MSG
from flambeau.compat.wire import RESPONSE as RESPONSE
from flambeau.compat.wire import bool_size as bool_size
from flambeau.compat.wire import create_load_model_response as create_load_model_response
from flambeau.compat.wire import create_predict_response as create_predict_response
from flambeau.compat.wire import encode_response_headers as encode_response_headers
from flambeau.compat.wire import int_size as int_size
from flambeau.compat.wire import retrieve_msg as retrieve_msg
from flambeau.worker.streaming import (
    send_intermediate_predict_response as send_intermediate_predict_response,
)
