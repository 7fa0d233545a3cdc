# Five images of one source:
#   docker build --target bot -t seatrial-bot .          the bot, which holds the Slack tokens
#   docker build --target worker -t seatrial-worker .    the worker, which holds the cloud credentials
#   docker build --target serving -t seatrial-serving .  the base image of models as XGBoost boosters and ONNX
#   docker build --target slack -t seatrial-slack .      the local Slack
#   docker build --target load -t seatrial-load .        Locust: master and workers of load tests on Kubernetes
# Users are numbers, because Kubernetes' runAsNonRoot compares numbers.
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
RUN python -c 'from workers.platforms.embedded.googlesql.library import library; library()'
ENV SEATRIAL_HOME=/data
VOLUME /data
CMD ["python", "-m", "workers"]

# The layout of tensorflow/serving: /models/MODEL_NAME/N, REST on 8501. The process only reads files.
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

# No folder may be named locust here: Python would import it instead of the package.
FROM base AS load
COPY locust /load
RUN mkdir workers bot && pip install --constraint constraints.txt --editable '.[load]'
USER 10001
WORKDIR /load
EXPOSE 8089 5557
ENTRYPOINT ["python", "-m", "locust"]
