#!/usr/bin/env bash
# Runs on every node of a run: 2 nodes, 1 process on each.
# To run it by hand, set the FLEETFORM_ variables that it names.
set -euo pipefail

cd "$FLEETFORM_RUN_DIR"
# -P: a trainer.py of the job's own must not hide the launcher.
exec "$FLEETFORM_PYTHON" -P -m trainer.launch \
  --nnodes=2 \
  --nproc-per-node=1 \
  --node-rank="$FLEETFORM_NODE_RANK" \
  --master-addr="$FLEETFORM_MASTER_ADDR" \
  --master-port="$FLEETFORM_MASTER_PORT" \
  -m trainer digits samples=2000
