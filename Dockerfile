# syntax=docker/dockerfile:1
# An image of a worker: the program, two guests, and their images for x86-64-v2 processors. docs/deploy/container.md explains it.
#
#   docker build --tag assay .
#   docker run --read-only --env-file env assay check

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN rustup target add wasm32-unknown-unknown
# The cache mounts keep what cargo built between two builds of the image; what is needed of it is copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    --mount=type=cache,target=/src/guest/target \
    cargo xtask guests \
 && cargo build --release --locked --package assay --no-default-features \
 && mkdir -p /out/guests \
 && strip --strip-all -o /out/assay target/release/assay \
 && cp guest/dist/*.wasm /out/guests/ \
 && /out/assay guest precompile /out/guests --cpu x86-64-v2 --out /out/images \
 && chmod -R go-w,a+rX /out

# glibc, certificates, and the user 65532; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Assay" \
      org.opencontainers.image.description="A worker that turns transcripts into reports" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build --chown=0:0 /out/ /
# Root's, so it is only read. What is not in it is compiled at each start, and stays in memory.
ENV GUEST_DIR=/guests \
    GUEST_CACHE_DIR=/images \
    ADMIN_ADDR=0.0.0.0:9464 \
    LOG_FORMAT=json
EXPOSE 9464
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/assay"]
CMD ["worker"]
