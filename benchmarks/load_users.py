"""Locust file for plain Locust, as in its documentation: users with a constant throughput each."""

import os

from locust import FastHttpUser, HttpUser, constant_throughput, task

BODY = b'{"instances": [{"sepal_length": 5.0}]}'
HEADERS = {"Content-Type": "application/json"}
PATH = "/v1/models/iris:predict"


class FastUser(FastHttpUser):
    wait_time = constant_throughput(float(os.environ["PER_USER_RPS"]))

    @task
    def predict(self) -> None:
        self.client.post(PATH, data=BODY, headers=HEADERS)


class PlainUser(HttpUser):
    wait_time = constant_throughput(float(os.environ["PER_USER_RPS"]))

    @task
    def predict(self) -> None:
        self.client.post(PATH, data=BODY, headers=HEADERS)
