# Five images of one source, each with no more than it needs:
#   docker build --target bot -t seatrial-bot .          holds the Slack tokens
#   docker build --target worker -t seatrial-worker .    holds the cloud credentials
#   docker build --target serving -t seatrial-serving .  serves XGBoost boosters and ONNX; models are built onto it
#   docker build --target slack -t seatrial-slack .      the local Slack, to try things in
#   docker build --target load -t seatrial-load .        Locust: master and workers of load tests on Kubernetes
# Users are numbers, so that Kubernetes' runAsNonRoot can tell them from root.
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home seatrial && mkdir /data && chown seatrial /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM base AS bot
COPY workers/__init__.py workers/__init__.py
COPY workers/contract workers/contract
COPY bot bot
RUN pip install --constraint constraints.txt --editable '.[bot]'
USER 10001
EXPOSE 3000
HEALTHCHECK CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '3000') + '/healthz', timeout=3)"]
CMD ["python", "-m", "bot"]

FROM bot AS slack
USER root
RUN pip install --constraint constraints.txt --editable '.[bot,local]' && python -m bot manifest > manifest.json
USER 10001
HEALTHCHECK NONE
CMD ["python", "-m", "bot.local_slack", "--manifest=/app/manifest.json"]

FROM base AS worker
COPY workers workers
COPY locust locust
COPY k8s/serving k8s/serving
COPY k8s/locust k8s/locust
RUN pip install --constraint constraints.txt --editable '.[worker,load,cloud]'
USER 10001
ENV SEATRIAL_HOME=/data
VOLUME /data
CMD ["python", "-m", "workers"]

# Laid out as tensorflow/serving: /models/MODEL_NAME/N, REST on 8501. The files are all readable and none is written.
FROM base AS serving
COPY workers/__init__.py workers/__init__.py
COPY workers/platforms/__init__.py workers/platforms/__init__.py
COPY workers/platforms/serving workers/platforms/serving
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && pip install --constraint constraints.txt --editable '.[serving]'
USER 10001
ENV MODEL_NAME=model MODEL_BASE_PATH=/models
EXPOSE 8501
ENTRYPOINT ["python", "-m", "workers.platforms.serving", "--host", "0.0.0.0", "--port", "8501"]

# Beside no folder named locust, which Python would take for the package where it has nothing better.
FROM base AS load
COPY locust /load
RUN mkdir workers bot && pip install --constraint constraints.txt --editable '.[load]'
USER 10001
WORKDIR /load
EXPOSE 8089 5557
ENTRYPOINT ["python", "-m", "locust"]
