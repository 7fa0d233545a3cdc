"""One handler a kind of job: `(job, context, platforms) → outcome`. They do not know each other."""

from collections.abc import Mapping

from workers.contract.jobs import Deploy, FindCapacity, LoadTest, Scale, TrainModel
from workers.jobs.capacity import find_capacity
from workers.jobs.deploy import deploy
from workers.jobs.loadtest import load_test
from workers.jobs.scale import scale
from workers.jobs.train import train_model
from workers.runner import Handler

HANDLERS: Mapping[type, Handler] = {
    TrainModel: train_model,
    Deploy: deploy,
    Scale: scale,
    LoadTest: load_test,
    FindCapacity: find_capacity,
}
