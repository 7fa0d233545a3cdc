# Two images of one source: the bot, which holds the Slack tokens, and the worker, which holds the cloud credentials.
#   docker build --target bot -t seatrial-bot .
#   docker build --target worker -t seatrial-worker .
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home seatrial && mkdir /data && chown seatrial /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM base AS bot
COPY workers/__init__.py workers/__init__.py
COPY workers/contract workers/contract
COPY bot bot
RUN pip install --constraint constraints.txt --editable '.[bot]'
USER seatrial
EXPOSE 3000
HEALTHCHECK CMD ["python", "-c", "import os, urllib.request as u; os.environ.get('SLACK_APP_TOKEN') or u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '3000') + '/healthz', timeout=3)"]
CMD ["python", "-m", "bot"]

FROM base AS worker
COPY workers workers
COPY locust locust
RUN pip install --constraint constraints.txt --editable '.[worker,load]'
USER seatrial
ENV SEATRIAL_HOME=/data
VOLUME /data
CMD ["python", "-m", "workers"]
