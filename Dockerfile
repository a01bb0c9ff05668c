# Vedette in one image: `vedette agent`, `vedette correlator` or any other command, chosen by the
# arguments. Builds with docker, podman and buildah. The result holds Node, our TypeScript as it
# is, the addon with the probes inside, and the libraries these load: no shell, no package manager.
#
# BASE is any Debian 12 with Node 20 or newer and npm (Debian's own Node is 18). To build behind a
# mirror or a proxy, give your own base with its apt and npm settings; none of them gets into the
# result.
ARG BASE=docker.io/library/node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
# The set-up of a checkout is the set-up of the build: one list of packages. It does only what is
# missing, so that this layer, without sources, lasts until the packages change.
COPY package.json package-lock.json ./
COPY tools/setup.sh tools/
RUN bash tools/setup.sh
COPY . .
RUN bash tools/setup.sh && bash deploy/image/assemble.sh /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Vedette" \
      org.opencontainers.image.description="Runtime security monitoring for GPU clusters" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
# Node reads no other files of the system, and writes nothing but what --data names.
ENV PATH=/usr/bin NODE_ENV=production
WORKDIR /var/lib/vedette
# The correlator needs no right at all. The agent needs CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and
# CAP_NET_ADMIN, which a runtime gives only to user 0: deploy/kubernetes says runAsUser: 0 for it, and no more.
USER 65532:65532
ENTRYPOINT ["/usr/bin/node", "/opt/vedette/cli/vedette.js"]
CMD ["--help"]
