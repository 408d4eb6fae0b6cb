#!/usr/bin/env bash
# Builds and runs every test beside private servers; ends with the summary and the exit status of `swift test`.
#
#   SWIFT             the swift command
#   SWIFT_TEST_FLAGS  more arguments for `swift test`, such as --filter AMQPTests
#   TEST_WIDTH        how many tests may run at once
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
swift=${SWIFT:-swift}
cd "$(dirname "$scripts")"

"$scripts/install-packages.sh" test
CELERIAC_PYTHON=$("$scripts/python-environment.sh")
export CELERIAC_PYTHON
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${TEST_WIDTH:-8}

"$swift" build --build-tests
read -ra flags <<<"${SWIFT_TEST_FLAGS:-}"
exec "$scripts/with-servers.sh" "$swift" test --skip-build "${flags[@]}"
