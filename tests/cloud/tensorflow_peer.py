"""A SavedModel like a BigQuery ML export, computed by TensorFlow behind the REST paths of TensorFlow Serving.

Run by the Python of a virtual environment with TensorFlow: `python tensorflow_peer.py KIND FOLDER`. It writes the
model, loads it anew, and prints the port that it serves on. Only the JSON around TensorFlow is ours.

The signatures are those of real exports: numbers are DT_DOUBLE and texts DT_STRING, both [-1]; outputs are [-1, 1], and
probabilities and class values [-1, classes], in an order that is not sorted. There is no imputation: NaN gives NaN.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tensorflow as tf

ZONES = {"A": 1002.0, "B": 1003.0, "_null_filler": 1001.0}
"""Weights that cancel the intercept, as in models without a reference category. An unseen zone has none."""
CLASSES = ["virginica", "versicolor", "setosa"]


class Tip(tf.Module):
    """linear_reg with a number and a text."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64, "miles"), tf.TensorSpec([None], tf.string, "zone")])
    def serve(self, miles: Any, zone: Any) -> Any:
        known = tf.constant(list(ZONES))
        one_hot = tf.cast(tf.equal(zone[:, None], known[None, :]), tf.float64)
        weights = tf.constant(list(ZONES.values()), tf.float64)
        tip = -1000.0 + 0.5 * miles + tf.linalg.matvec(one_hot, weights)
        return {"predicted_tip": tip[:, None]}


class Species(tf.Module):
    """logistic_reg with a number and three classes."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64, "petal_length")])
    def serve(self, petal_length: Any) -> Any:
        slopes, intercepts = tf.constant([3.0, 1.0, -4.0], tf.float64), tf.constant([-14.0, -3.0, 10.0], tf.float64)
        probabilities = tf.nn.softmax(petal_length[:, None] * slopes + intercepts)
        values = tf.tile(tf.constant([CLASSES]), [tf.shape(petal_length)[0], 1])
        best = tf.argmax(probabilities, axis=1)
        return {
            "predicted_species": tf.gather(tf.constant(CLASSES), best)[:, None],
            "species_probs": probabilities,
            "species_values": values,
        }


class Handler(BaseHTTPRequestHandler):
    model: Any

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        specs = self.model.structured_input_signature[1]
        try:
            inputs = {name: tf.constant([row[name] for row in rows], spec.dtype) for name, spec in specs.items()}
            outputs = {name: _plain(value) for name, value in self.model(**inputs).items()}
        except (KeyError, TypeError, ValueError) as error:
            return self._answer(400, {"error": f"Failed to process the instances: {error}"})
        if len(outputs) == 1:  # TensorFlow Serving leaves the only name out
            return self._answer(200, {"predictions": next(iter(outputs.values()))})
        predictions = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
        return self._answer(200, {"predictions": predictions})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _plain(value: Any) -> Any:
    rows = value.numpy().tolist()
    return [[item.decode() if isinstance(item, bytes) else item for item in row] for row in rows]


def main(kind: str, folder: str) -> None:
    made = {"tip": Tip, "species": Species}[kind]()
    tf.saved_model.save(made, folder, signatures={"serving_default": made.serve})
    Handler.model = tf.saved_model.load(folder).signatures["serving_default"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
