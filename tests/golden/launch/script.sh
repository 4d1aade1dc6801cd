#!/usr/bin/env bash
# Runs on every node of a run: 1 node, 4 processes on each.
# To run it by hand, set the FLEETFORM_ variables that it names.
set -euo pipefail

cd "$FLEETFORM_CODE_DIR"
# -P: a trainer.py of the job's own must not hide the launcher.
exec "$FLEETFORM_PYTHON" -P -m trainer.launch \
  --nnodes=1 \
  --nproc-per-node=4 \
  --node-rank="$FLEETFORM_NODE_RANK" \
  --master-addr="$FLEETFORM_MASTER_ADDR" \
  --master-port="$FLEETFORM_MASTER_PORT" \
  "$FLEETFORM_CODE_DIR"/'my train.py' --name 'it'"'"'s $HOME; rm -rf /' '*'
