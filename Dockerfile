# The page and the HTTP API in a container; see docs/serve.md.
#   docker build -t cleanplate .
#   docker run --rm -p 127.0.0.1:8765:8765 cleanplate
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/cleanplate \
    && /opt/cleanplate/bin/pip install --no-cache-dir ".[cpu,heif,raw,serve]"

FROM python:3.13-slim
COPY --from=build /opt/cleanplate /opt/cleanplate
# Models and server.json; photos that are edited; folders for jobs.
RUN useradd --uid 1000 --no-create-home cleanplate \
    && mkdir /models /work /photos && chown cleanplate /models /work /photos
ENV PATH=/opt/cleanplate/bin:$PATH \
    CLEANPLATE_HOME=/models \
    TMPDIR=/work \
    PYTHONUNBUFFERED=1
USER cleanplate
VOLUME ["/models", "/work"]
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["cleanplate"]
# Inside, all addresses; `-p 127.0.0.1:8765:8765` decides who reaches it.
CMD ["serve", "--host", "0.0.0.0", "--port", "8765", "--no-browser", "--root", "/photos"]
