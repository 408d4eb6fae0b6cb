#!/usr/bin/env bash
# Builds and runs every test beside private servers; ends with the summary and the exit status of `swift test`. Since
# all the servers are there, a suite or a test that is skipped is a failure, too: nobody would notice that it never runs.
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
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${TEST_WIDTH:-12}

"$swift" build --build-tests
read -ra flags <<<"${SWIFT_TEST_FLAGS:-}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
mkfifo "$scratch/output"
tee "$log" <"$scratch/output" &
tee=$!
"$scripts/with-servers.sh" "$swift" test --skip-build "${flags[@]}" >"$scratch/output" 2>&1 &
tests=$!
trap 'kill -s TERM "$tests"' INT TERM HUP
status=0
wait "$tests" || status=$?
# A signal ends the wait, not yet the tests.
while kill -s 0 "$tests" 2>/dev/null; do
    status=0
    wait "$tests" || status=$?
done
# The last lines, too, before they are looked at.
wait "$tee"

if ((status == 0)) && skipped=$(grep -aE '^➜ (Suite|Test) .* skipped(:|\.)' "$log"); then
    printf '%s\n' "${0##*/}: skipped although all servers are there:" "$skipped" >&2
    status=1
fi
exit "$status"
