# An image for CUDA 12.6; see docs/docker.md.
# The base brings LibTorch 2.13.0 for CUDA 12.6, as the Python package torch.
ARG BASE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime

FROM node:22-bookworm-slim AS node

FROM ${BASE}
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
# The engine includes no header of CUDA, so that a compiler is all that it takes. The system's CMake may be too old.
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
  && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
  && apt-get update \
  && apt-get install -y --no-install-recommends g++ make \
  && rm -rf /var/lib/apt/lists/* \
  && pip install --no-cache-dir 'cmake>=3.25' \
  && ln -s "$(python -c 'import os, torch; print(os.path.dirname(torch.__file__))')" /opt/libtorch
ENV LIBTORCH=/opt/libtorch

WORKDIR /opt/sam3-node
COPY package.json package-lock.json ./
RUN npm install --ignore-scripts
COPY . .
# What is built must be readable for whatever user the container runs as.
RUN npm run setup && mkdir -p models && chmod -R a+rX . && ln -s /opt/sam3-node/dist/cli.js /usr/local/bin/sam3-node

ENTRYPOINT ["node", "/opt/sam3-node/dist/cli.js"]
CMD ["doctor"]
