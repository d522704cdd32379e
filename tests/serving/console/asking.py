"""Inference as any client asks for it."""

from typing import Any

import numpy as np
import tritonclient.http as triton


def ask(address: str, rows: np.ndarray, model: str = "digits", **parameters: Any) -> Any:
    with triton.InferenceServerClient(address.removeprefix("http://")) as client:
        image = triton.InferInput("image", list(rows.shape), "UINT8").set_data_from_numpy(rows)
        return client.infer(model, [image], parameters=parameters)
