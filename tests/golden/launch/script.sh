#!/usr/bin/env bash
# Runs on every node of a run: 1 node, 4 processes on each.
# To run it by hand, set the FLEETFORM_ variables that it names.
set -euo pipefail

cd "$FLEETFORM_CODE_DIR"
exec "$FLEETFORM_PYTHON" -m torch.distributed.run \
  --nnodes=1 \
  --nproc-per-node=4 \
  --node-rank="$FLEETFORM_NODE_RANK" \
  --master-addr="$FLEETFORM_MASTER_ADDR" \
  --master-port="$FLEETFORM_MASTER_PORT" \
  "$FLEETFORM_CODE_DIR"/'my train.py' --name 'it'"'"'s $HOME; rm -rf /' '*'
