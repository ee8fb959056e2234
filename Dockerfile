# One image for workers and producers, and a second target, `tests`, that runs the tests.
FROM python:3.13-slim AS runtime

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --system --create-home --uid 10001 worker

# What we depend on changes less often than our own code, so it is a layer of its own.
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir worker producers && touch worker/__init__.py producers/__init__.py \
 && pip install -c constraints.txt ".[dashboard,traces,worker]" && pip uninstall -y crud-worker && rm -r worker producers
COPY producers producers
COPY worker worker
RUN pip install --no-deps . && rm -rf build worker producers

# Away from the source: `worker` is to be found once, as an installed package.
WORKDIR /home/worker
USER worker
ENV WORKER_HTTP=0.0.0.0:9464
EXPOSE 9464
# 503 within ten seconds after it stopped making progress; plain Python, since a worker's imports cost a second.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/livez', timeout=4)"]
CMD ["crud-worker", "run"]


FROM runtime AS tests

USER root
ENV WORKER_HTTP=
HEALTHCHECK NONE
RUN pip uninstall -y crud-worker
WORKDIR /src
COPY . .
RUN pip install -c constraints.txt -e ".[dev]" && chown -R worker /src
USER worker
CMD ["python", "-m", "pytest", "-q", "-n", "2"]
