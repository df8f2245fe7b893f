# Picket's image: node, the libraries that it needs, nft, the bundle, the pod-start gate's program and CA certificates,
# and nothing else: no shell, no package manager. `docker build .` or `buildah build .` in a clone makes it.
#
# Build arguments: BASE, a Debian 12 for the stages that build (the result has nothing of it but what assemble.sh copies);
# NPM_CONFIG_REGISTRY, another npm registry; VERSION and REVISION, for the labels.
ARG BASE=docker.io/library/debian:12-slim

FROM ${BASE} AS packages
# Nothing of this stage needs to survive a power cut, or to be read: half a minute instead of three.
RUN echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/fast \
 && printf 'path-exclude=/usr/share/%s/*\n' doc man locale > /etc/dpkg/dpkg.cfg.d/small \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates golang-go netbase nftables npm

FROM packages AS build
ARG NPM_CONFIG_REGISTRY
WORKDIR /src
COPY package.json package-lock.json ./
# Debian's npm fetches what the lock file names, the Node that runs everything else among it.
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json ./
COPY src src
RUN node_modules/node-linux-*/bin/node src/bootstrap/build.mjs /src/dist \
 && cd src/cni && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /src/dist/picket-cni .
COPY deploy/image/assemble.sh ./
RUN sh assemble.sh /src /out

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Picket" \
      org.opencontainers.image.description="NetworkPolicy enforcement for Kubernetes on nftables" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out /
ENV PATH=/usr/bin:/usr/sbin NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
USER 0:0
ENTRYPOINT ["/usr/bin/picket"]
