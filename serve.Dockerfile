# The server of docs/guides/serve.md. Our tests do not build it: their machine has no Docker daemon.
#
#     docker build -f serve.Dockerfile -t tapetum-serve .
#     docker run --rm -p 8000:8000 -v "$PWD/runs/photos:/models:ro" tapetum-serve

FROM python:3.12-slim

COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
RUN pip install --no-cache-dir '/source[serve]' && rm -r /source

RUN useradd --system tapetum
USER tapetum
WORKDIR /models

EXPOSE 8000
HEALTHCHECK --start-period=30s CMD \
  ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz')"]

# In this form SIGTERM reaches the server, which then answers what it has accepted.
ENTRYPOINT ["tapetum", "serve", "--host", "0.0.0.0"]
CMD ["/models/model.tapetum"]
