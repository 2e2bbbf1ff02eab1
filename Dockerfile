# An image for CUDA 12.6; see docs/docker.md. The base brings LibTorch 2.13.0 for CUDA 12.6, as the Python package torch.
ARG BASE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime

FROM node:22-bookworm-slim AS node

# The npm package, built as it is published.
FROM ${BASE} AS build
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
# The engine includes no header of CUDA, so that a compiler is all that it takes. The system's CMake may be too old.
# Versions of the distribution's compiler are its own matter.
# hadolint ignore=DL3008
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
  && apt-get update \
  && apt-get install -y --no-install-recommends binutils g++ make \
  && rm -rf /var/lib/apt/lists/* \
  && pip install --no-cache-dir 'cmake>=3.25,<5' \
  && ln -s "$(command -v python)" /usr/local/bin/python-with-torch
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm install --ignore-scripts
COPY . .
RUN SAM3_PYTHON=/usr/local/bin/python-with-torch npm run prebuild && npm pack && mv sam3-node-*.tgz /sam3-node.tgz

FROM ${BASE}
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
COPY --from=build /sam3-node.tgz /opt/sam3-node.tgz
ENV SAM3_LIBTORCH_DIR=/opt/libtorch \
    SAM3_CACHE_DIR=/models \
    XDG_CACHE_HOME=/tmp/cache
# The models' folder is open to whatever user the container runs as.
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
  && npm install --global --ignore-scripts /opt/sam3-node.tgz \
  && sam3-node libtorch install --python python \
  && rm -rf /root/.npm /tmp/cache \
  && useradd --create-home --uid 10001 sam3 \
  && install --directory --mode=1777 /models
VOLUME /models
USER 10001
WORKDIR /data

# Engine, LibTorch, GPU and folder; the hub's answer is no matter of health.
HEALTHCHECK --interval=2m --timeout=60s --start-period=60s --retries=3 \
  CMD ["env", "HF_HUB_OFFLINE=1", "sam3-node", "doctor"]
ENTRYPOINT ["sam3-node"]
CMD ["doctor"]
