#!/usr/bin/env bash
# Builds the demonstration and runs it. SWIFT chooses the swift command.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
swift=${SWIFT:-swift}
cd "$(dirname "$scripts")"

"$scripts/install-packages.sh" build
"$swift" build -c release --product demo
bin=$("$swift" build -c release --show-bin-path)
exec "$bin/demo" "$@"
