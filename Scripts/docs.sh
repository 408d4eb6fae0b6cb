#!/usr/bin/env bash
# Builds the documentation of every library that has a catalogue (Sources/X/X.docc) into .build/docs, showing DocC's
# warnings. What the umbrella re-exports is described there. SWIFT chooses the swift command.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
swift=${SWIFT:-swift}
cd "$(dirname "$scripts")"

"$scripts/install-packages.sh" docs
docc=$(command -v docc || true)
if [[ ! $docc ]] && command -v swift >/dev/null; then docc=$(dirname "$(realpath "$(command -v swift)")")/docc; fi
if [[ ! -x $docc ]]; then
    echo "${0##*/}: this Swift toolchain has no docc" >&2
    exit 69
fi

catalogues=(Sources/*/*.docc)
if [[ ! -d ${catalogues[0]} ]]; then
    echo "${0##*/}: no catalogue in Sources/*/*.docc" >&2
    exit 66
fi

work=$PWD/.build/docs-work
output=.build/docs
graphs=$work/graphs
rm -rf "$work/inputs" "$work/archives" "$output"
mkdir -p "$graphs" "$work/archives"

# A build directory of its own: the flags would make the ordinary one be built anew. (`swift package dump-symbol-graph`
# stumbles over the test bundle's module.)
emit=(-emit-symbol-graph -emit-symbol-graph-dir "$graphs" -symbol-graph-minimum-access-level public)
emit+=(-symbol-graph-skip-synthesized-members)
flags=()
for flag in "${emit[@]}"; do flags+=(-Xswiftc "$flag"); done
"$swift" build --scratch-path "$work/build" "${flags[@]}"

archives=()
for catalogue in "${catalogues[@]}"; do
    name=$(basename "$catalogue" .docc)
    mkdir -p "$work/inputs/$name"
    find "$graphs" -maxdepth 1 \( -name "$name.symbols.json" -o -name "$name@*.symbols.json" \) \
        -exec cp {} "$work/inputs/$name/" \;
    "$docc" convert "$catalogue" --additional-symbol-graph-dir "$work/inputs/$name" \
        --fallback-display-name "$name" --fallback-bundle-identifier "$name" \
        --output-path "$work/archives/$name.doccarchive"
    archives+=("$work/archives/$name.doccarchive")
done

if ((${#archives[@]} == 1)); then
    mv "${archives[0]}" "$output"
else
    "$docc" merge "${archives[@]}" --synthesized-landing-page-name Celeriac --output-path "$output"
fi
echo "Documentation: $output (serve it with: python3 -m http.server --directory $output)"
