# syntax=docker/dockerfile:1

# The binary, static: Temporal's SQLite driver is pure Go, so nothing needs cgo.
FROM golang:1.26.8 AS build
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -ldflags "-s -w -X main.version=${VERSION}" -o /image/bin/postdate ./cmd/postdate
# All else that a process expects of a system. Below /image, so that COPY keeps the modes.
RUN mkdir -p /image/etc/ssl/certs /image/data \
 && mkdir -m 1777 /image/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

# Asks for the health below: there is no shell and no curl in the image.
FROM busybox:1.37.0-musl AS busybox

# From nothing: no distribution to patch, and no tag that moves.
FROM scratch
LABEL org.opencontainers.image.title="Postdate" \
      org.opencontainers.image.description="Sends messages to the future and to whoever asked for them"
COPY --from=busybox /bin/wget /bin/wget
COPY --from=build --chown=65532:65532 /image/ /
USER 65532:65532
WORKDIR /
# The default, loopback, cannot be reached from outside a container.
ENV POSTDATE_HTTP_ADDR=:8080
EXPOSE 8080
# Each of serve, api and worker answers there.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/bin/postdate"]
CMD ["serve"]
