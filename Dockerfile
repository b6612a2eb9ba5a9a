# One image for everything of ours that runs in docker-compose.yml: server, deploy, worker, steward; and, as the
# target `browser`, the one of the browser that the jobs take pictures with.
# What is in them is pinned with hashes in requirements.image.lock, a part of requirements.lock (`make lock`).
#
#   docker build -t aegis-scheduler .
#   docker build -t aegis-browser --target browser .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS libraries
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /locks
COPY requirements.lock requirements.image.lock ./
# pip and what builds our own package stay in /opt/tools, which is left behind.
RUN python3 -m venv /opt/tools \
    && python3 -m venv --without-pip /opt/aegis \
    && awk '/^[a-z0-9]/ { ours = /^(setuptools|wheel)==/ } ours' requirements.lock > tools.lock \
    && /opt/tools/bin/pip install --quiet --no-deps --require-hashes -r tools.lock \
    && /opt/tools/bin/pip --python /opt/aegis/bin/python install --quiet --no-deps --require-hashes -r requirements.image.lock \
    && chmod -R a+rX,go-w /opt/aegis

# Jobs run from /app, where prefect.yaml names their files; of the installed package only its metadata is taken
# (entry points, version), since a second copy of the code could only differ. A new version changes this layer alone.
FROM libraries AS project
COPY . /app
WORKDIR /app
RUN rm -r requirements.lock requirements.image.lock compose \
    && /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/tools/bin/pip install --quiet --no-deps --target /tmp/installed /tmp/wheel/*.whl \
    && mv /tmp/installed/*.dist-info . \
    && rm -rf build ./*.egg-info \
    && ln -s /etc/aegis/aegis.yaml aegis.yaml \
    && mkdir bin \
    && printf '#!/opt/aegis/bin/python\nfrom deployments.cli import main\n\nmain()\n' > bin/aegis \
    && chmod 755 bin/aegis \
    && PYTHONPATH=/app /opt/tools/bin/pip --python /opt/aegis/bin/python check \
    && /opt/aegis/bin/python -m compileall -q . \
    && chmod -R a+rX,go-w .

FROM ${PYTHON_IMAGE} AS aegis
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends ca-certificates libatomic1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 aegis \
    && useradd --uid 10001 --gid aegis --home-dir /var/lib/aegis --no-create-home --shell /usr/sbin/nologin aegis \
    && install -d -o aegis -g aegis -m 0700 /var/lib/aegis /run/aegis \
    && install -d -o aegis -g aegis -m 0755 /tmp/aegis/monitor/screenshots /var/lib/aegis/report /etc/aegis
COPY --from=libraries /opt/aegis /opt/aegis
COPY --from=project /app /app
ENV PATH=/app/bin:/opt/aegis/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TZ=UTC \
    HOME=/var/lib/aegis \
    NO_COLOR=1 \
    AEGIS_PROJECT_DIR=/app \
    AEGIS_DATA_DIR=/var/lib/aegis \
    AEGIS_JOURNAL_DIR=/var/lib/aegis/journal \
    AEGIS_SCREENSHOT_DIR=/tmp/aegis/monitor/screenshots \
    PREFECT_HOME=/var/lib/aegis/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui
WORKDIR /app
USER aegis
LABEL org.opencontainers.image.title="Aegis Scheduler" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["tini", "--"]
CMD ["aegis", "--help"]

# Playwright's server and Debian's Chromium. Jobs speak to it at PLAYWRIGHT_URL with the same Playwright; none of
# our code is in it, for it opens pages of strangers.
FROM libraries AS playwright
RUN awk '/^[a-z0-9]/ { wanted = /^(playwright|greenlet)==/ } wanted' requirements.lock > browser.lock \
    && python3 -m venv --without-pip /opt/playwright \
    && /opt/tools/bin/pip --python /opt/playwright/bin/python install --quiet --no-deps --require-hashes -r browser.lock \
    && /opt/tools/bin/pip --python /opt/playwright/bin/python check \
    && chmod -R a+rX,go-w /opt/playwright

FROM ${PYTHON_IMAGE} AS browser
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji libatomic1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10002 browser \
    && useradd --uid 10002 --gid browser --home-dir /tmp/browser --no-create-home --shell /usr/sbin/nologin browser
COPY --from=playwright /opt/playwright /opt/playwright
COPY compose/browser.json compose/browser_health.py /etc/aegis-browser/
ENV PATH=/opt/playwright/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp/browser
USER browser
ENTRYPOINT ["tini", "--"]
CMD ["playwright", "launch-server", "--browser", "chromium", "--config", "/etc/aegis-browser/browser.json"]

# What is built when nobody names a target.
FROM aegis
