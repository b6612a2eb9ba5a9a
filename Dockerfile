# One image for everything of ours that runs in docker-compose.yml: server, deploy, worker, steward.
# What is in it is pinned with hashes in requirements.image.lock, a part of requirements.lock (`make lock`).
#
#   docker build -t aegis-scheduler .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/aegis
WORKDIR /tmp/locks
COPY requirements.lock requirements.image.lock ./
# What builds our own package is pinned as well; it leaves the environment again below.
RUN awk '/^[a-z0-9]/ { ours = /^(setuptools|wheel)==/ } ours' requirements.lock > tools.lock \
    && /opt/aegis/bin/pip install --quiet --no-deps --require-hashes -r requirements.image.lock \
    && /opt/aegis/bin/pip install --quiet --no-deps --require-hashes -r tools.lock
WORKDIR /app
COPY . .
# Editable: the jobs run from /app, where prefect.yaml names their files; a second copy could only differ.
RUN rm requirements.lock requirements.image.lock \
    && /opt/aegis/bin/pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat -e . \
    && /opt/aegis/bin/pip check \
    && /opt/aegis/bin/pip uninstall --quiet --yes setuptools wheel pip \
    && ln -s /etc/aegis/aegis.yaml aegis.yaml \
    && rm -rf build \
    && python3 -m compileall -q -j 0 /app /opt/aegis/lib \
    && chmod -R a+rX,go-w /app /opt/aegis

FROM ${PYTHON_IMAGE}
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 aegis \
    && useradd --uid 10001 --gid aegis --home-dir /var/lib/aegis --no-create-home --shell /usr/sbin/nologin aegis \
    && install -d -o aegis -g aegis -m 0700 /var/lib/aegis /run/aegis \
    && install -d -o aegis -g aegis -m 0755 /tmp/aegis/monitor/screenshots /etc/aegis
COPY --from=build /opt/aegis /opt/aegis
COPY --from=build /app /app
ENV PATH=/opt/aegis/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TZ=UTC \
    HOME=/var/lib/aegis \
    NO_COLOR=1 \
    AEGIS_PROJECT_DIR=/app \
    AEGIS_DATA_DIR=/var/lib/aegis \
    AEGIS_JOURNAL_DIR=/var/lib/aegis/journal \
    PREFECT_HOME=/var/lib/aegis/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui
WORKDIR /app
USER aegis
LABEL org.opencontainers.image.title="Aegis Scheduler" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["tini", "--"]
CMD ["aegis", "--help"]
