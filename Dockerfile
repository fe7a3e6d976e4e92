# syntax=docker/dockerfile:1
# Two stages: uv builds the environment from the lock file, the image carries only the result.
FROM ghcr.io/astral-sh/uv:0.12.21-python3.12-trixie-slim@sha256:5ae92e4d35b8d586d50ddf4aba6ecdd9f744237284d31c86bf45077e4e17e4bd AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE app.yml ./
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra actions --no-install-project
COPY bot bot
COPY prompts prompts
COPY examples examples
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra actions --no-editable

# Python 3.12 with SQLite 3.46: there the timestamps of SQLite have milliseconds, which keeps queues in order.
FROM python:3.12.14-slim-trixie@sha256:f77ac9e44ae96ef2c90b8053ea08c31f8be030f824196b0ae4db6d462c84e51f
LABEL org.opencontainers.image.title="review-assistant" \
      org.opencontainers.image.description="Reviews pull requests against the team's own coding standards." \
      org.opencontainers.image.licenses="MIT"
# The OpenAI client trusts the system's certificates; git reads big repositories.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --home-dir /data assistant \
 && install -d -o 10001 -g 10001 /data \
 && install -d -m 0700 -o 10001 -g 10001 /data/secrets
COPY --from=build /src/.venv /src/.venv
ENV PATH=/src/.venv/bin:$PATH \
    HOST=0.0.0.0 PORT=8000 \
    ASSISTANT_DATA=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["assistant", "healthcheck", "--live"]
ENTRYPOINT ["assistant"]
CMD ["serve"]
