# Workers that train on GPUs: what airflow.Dockerfile builds, on a base that brings CUDA's libraries. It has the same
# Python, the same lock and the same code, so that a step gives the same result on either.
# Built from the root of the checkout:
#   docker build --file docker/trainer.Dockerfile --tag tandem/trainer:0.1.0 --build-arg CODE_COMMIT=$(git rev-parse HEAD) .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:13.0.2-runtime-ubuntu24.04

FROM ${PYTHON_IMAGE} AS python

FROM ${CUDA_IMAGE} AS base
# the libraries that Python's own modules are linked to; a compiler for kernels that torch compiles while it runs
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates gcc libbz2-1.0 libc6-dev libexpat1 libffi8 liblzma5 libncursesw6 libreadline8 libsqlite3-0 \
        libssl3 libuuid1 netbase tzdata zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=python /usr/local/bin /usr/local/bin
COPY --from=python /usr/local/lib /usr/local/lib
COPY --from=python /usr/local/include/python3.11 /usr/local/include/python3.11
RUN ldconfig && python3.11 -c "import bz2, ctypes, lzma, readline, sqlite3, ssl, uuid, zlib"

FROM base AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/tandem
# only what decides the environment, so that a change of the code keeps this layer
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY pipelines/__init__.py pipelines/
RUN --mount=type=cache,target=/root/.cache/pip make install EXTRAS=cluster

FROM base
# empty: a run then names its code by the hash of the sources
ARG CODE_COMMIT=
LABEL org.opencontainers.image.title="tandem-trainer" \
      org.opencontainers.image.description="GPU training workers of Tandem" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${CODE_COMMIT}"
# group 0 and group rights, so that a cluster may choose another user id
RUN useradd --uid 50000 --gid 0 --create-home --shell /usr/sbin/nologin tandem \
    && install --directory --owner=50000 --group=0 --mode=0775 \
        /opt/airflow /opt/airflow/logs /var/lib/tandem /var/lib/tandem/tmp \
    # without this file Airflow would write one full of defaults, which a read-only file system refuses
    && install --owner=50000 --group=0 --mode=0664 /dev/null /opt/airflow/airflow.cfg
WORKDIR /opt/tandem
COPY --from=build /opt/tandem/.venv .venv
COPY --from=build /opt/tandem/pyproject.toml /opt/tandem/constraints.txt ./
COPY config config
COPY plugins plugins
COPY dags dags
COPY pipelines pipelines
COPY docker/entrypoint.sh docker/healthy.py docker/
# DeepSpeed builds no operator while it is installed, and keeps what it builds later where it may write
ENV PATH=/opt/tandem/.venv/bin:/usr/local/bin:/usr/local/cuda/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1 \
    GIT_PYTHON_REFRESH=quiet \
    MPLCONFIGDIR=/var/lib/tandem/matplotlib \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/tandem/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/tandem/plugins \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/opt/airflow/logs \
    TANDEM_ENVIRONMENT=production \
    TANDEM_ROOT=/opt/tandem \
    TANDEM_HOME=/var/lib/tandem \
    TANDEM_CODE_COMMIT=${CODE_COMMIT} \
    TMPDIR=/var/lib/tandem/tmp \
    DS_BUILD_OPS=0 \
    TORCH_EXTENSIONS_DIR=/var/lib/tandem/torch_extensions \
    TRITON_CACHE_DIR=/var/lib/tandem/triton \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 50000:0
HEALTHCHECK --interval=60s --timeout=45s --start-period=120s --retries=3 \
    CMD ["sh", "-c", "celery --app airflow.providers.celery.executors.celery_executor.app inspect ping --destination celery@$(hostname)"]
ENTRYPOINT ["/opt/tandem/docker/entrypoint.sh"]
CMD ["airflow", "celery", "worker", "--skip-serve-logs", "--queues", "gpu"]
