#!/usr/bin/env bash
# Fuzzes what reads the wire, guided by coverage, and fails on any finding. See Fuzz/README.md.
#
#   fuzz.sh [TARGET…]           default: all
#
# FUZZ_SECONDS   in total over the targets (600)
# FUZZ_WORK      where grown corpora, findings and logs are kept (.build/fuzz)
# SWIFT          the swift command; its toolchain brings libFuzzer
set -euo pipefail

root=$(dirname "$(dirname "$(realpath "$0")")")
cd "$root"
work=${FUZZ_WORK:-$root/.build/fuzz}
swift=$(command -v "${SWIFT:-swift}")
swiftc=$(dirname "$(realpath "$swift")")/swiftc
clang=$(dirname "$(realpath "$swift")")/clang
targets=("$@")
if ((${#targets[@]} == 0)); then targets=(frames methods table conversation uri resp); fi

# The package's own settings; see Package.swift.
settings=(-swift-version 6 -package-name celeriac -parse-as-library)
for feature in ExistentialAny MemberImportVisibility InternalImportsByDefault NonisolatedNonsendingByDefault; do
    settings+=(-enable-upcoming-feature "$feature")
done
# Optimised, as users have it: checks for overflow and bounds stay.
settings+=(-O -g -sanitize=address,fuzzer)

mkdir -p "$work/modules" "$work/CShims"
cat >"$work/CShims/module.modulemap" <<MAP
module CShims { umbrella "$root/Sources/CShims/include" export * }
MAP
settings+=(-I "$work/modules" -I "$work/CShims")
for map in Sources/*/module.modulemap; do settings+=(-I "$(dirname "$map")"); done

build() { # a module per target of the package, in order of dependency
    local module path
    "$clang" -O2 -g -fsanitize=address -I Sources/CShims/include -c -o "$work/CShims.o" Sources/CShims/shims.c
    for module in Transport AMQP Redis FuzzTargets; do
        path=Sources/$module
        [[ $module != FuzzTargets ]] || path=Fuzz/Targets
        find "$path" -name '*.swift' -print0 | sort -z | xargs -0 "$swiftc" "${settings[@]}" -whole-module-optimization \
            -module-name "$module" -emit-module -emit-module-path "$work/modules/$module.swiftmodule" \
            -emit-object -o "$work/$module.o"
    done
    "$swiftc" "${settings[@]}" -module-name Fuzzer -o "$work/fuzzer" Fuzz/Fuzzer.swift \
        "$work"/{Transport,AMQP,Redis,FuzzTargets,CShims}.o -lhiredis -lssl -lcrypto
}

# What the program is made of; nothing is built twice.
key=$(find Sources/{CShims,CHiredis,COpenSSL,Transport,AMQP,Redis} Fuzz/Targets Fuzz/Fuzzer.swift "$0" -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum)
if [[ ! -x $work/fuzzer || $(cat "$work/key" 2>/dev/null) != "$key" ]]; then
    echo "Building the fuzzer" >&2
    rm -f "$work/key"
    if ! build >"$work/build.log" 2>&1; then
        cat "$work/build.log" >&2
        exit 1
    fi
    echo "$key" >"$work/key"
fi

# A conversation has most to explore and is slowest: it gets three shares, and long inputs from the start.
declare -A shares=([conversation]=3)
declare -A options=([conversation]=-len_control=0)
total=0
for target in "${targets[@]}"; do total=$((total + ${shares[$target]:-1})); done
failed=0
printf '%-13s %12s %9s %8s  %s\n' target executions coverage corpus result
for target in "${targets[@]}"; do
    mkdir -p "$work/corpus/$target" "$work/findings/$target"
    log=$work/$target.log
    seeds=()
    [[ ! -d Fuzz/Corpus/$target ]] || seeds=("Fuzz/Corpus/$target")
    result=ok
    seconds=$((${FUZZ_SECONDS:-600} * ${shares[$target]:-1} / total))
    # Swift's own backtracer would start a debugger for each crash. A slow input, or one that takes much memory, is a
    # finding like a crash. Leaks show as growth; Swift's once-only metadata would pass for them.
    FUZZ_TARGET=$target SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
        "$work/fuzzer" -max_total_time="$((seconds > 0 ? seconds : 1))" -timeout=1 -rss_limit_mb=1024 \
        -malloc_limit_mb=256 -max_len=4096 -print_final_stats=1 -use_value_profile=1 \
        ${options[$target]:+"${options[$target]}"} \
        -artifact_prefix="$work/findings/$target/" "$work/corpus/$target" "${seeds[@]}" >"$log" 2>&1 || result=FINDING
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    coverage=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
    corpus=$(find "$work/corpus/$target" -type f | wc -l)
    printf '%-13s %12s %9s %8s  %s\n' "$target" "${executions:-0}" "${coverage:-0}" "$corpus" "$result"
    if [[ $result != ok ]]; then
        failed=1
        grep -E 'Fatal error|ERROR:|SUMMARY|broken:|Test unit written' "$log" | head -10 || true
    fi
done
exit "$failed"
