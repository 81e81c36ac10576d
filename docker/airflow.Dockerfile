# Airflow's components, its CPU workers and the MLflow server: one image, told apart by the command.
# Built from the root of the checkout; see compose.yaml.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# the index of torch's builds without CUDA: this image needs none of its gigabytes
ARG PIP_EXTRA_INDEX_URL=
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/tandem
# only what decides the environment, so that a change of the code keeps this layer
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY pipelines/__init__.py pipelines/
RUN --mount=type=cache,target=/root/.cache/pip make install EXTRAS=cluster

FROM ${PYTHON_IMAGE}
# empty: a run then names its code by the hash of the sources
ARG CODE_COMMIT=
LABEL org.opencontainers.image.title="tandem-airflow" \
      org.opencontainers.image.description="Airflow components, CPU workers and the MLflow server of Tandem" \
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
COPY docker/create_bucket.py docker/entrypoint.sh docker/healthy.py docker/
ENV PATH=/opt/tandem/.venv/bin:/usr/local/bin:/usr/bin:/bin \
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
    HEALTH_URL=http://127.0.0.1:8080/api/v2/monitor/health
USER 50000:0
EXPOSE 8080 5000
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["python", "docker/healthy.py"]
ENTRYPOINT ["/opt/tandem/docker/entrypoint.sh"]
CMD ["airflow", "api-server"]
