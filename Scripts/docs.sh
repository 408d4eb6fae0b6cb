#!/usr/bin/env bash
# Builds the documentation of every library that has a catalogue (Sources/X/X.docc) into .build/docs, showing DocC's
# warnings. The umbrella's catalogue also describes the libraries without one of their own. SWIFT chooses the swift command.
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

"$swift" package dump-symbol-graph --minimum-access-level public --skip-synthesized-members
graphs=$(dirname "$("$swift" build --show-bin-path)")/symbolgraph
work=.build/docs-work
output=.build/docs
rm -rf "$work" "$output"
mkdir -p "$work/archives"

own=()
for catalogue in "${catalogues[@]}"; do own+=("$(basename "$catalogue" .docc)"); done

archives=()
for catalogue in "${catalogues[@]}"; do
    name=$(basename "$catalogue" .docc)
    mkdir -p "$work/$name"
    for source in Sources/*/; do
        module=$(basename "$source")
        # The umbrella speaks for the family's other libraries, which users meet through it.
        if [[ $module == "$name" ]] ||
            { [[ $name == Celeriac && $module == Celeriac* ]] && [[ " ${own[*]} " != *" $module "* ]]; }; then
            find "$graphs" -maxdepth 1 \( -name "$module.symbols.json" -o -name "$module@*.symbols.json" \) \
                -exec cp {} "$work/$name/" \;
        fi
    done
    "$docc" convert "$catalogue" --additional-symbol-graph-dir "$work/$name" \
        --fallback-display-name "$name" --fallback-bundle-identifier "$name" \
        --output-path "$work/archives/$name.doccarchive"
    archives+=("$work/archives/$name.doccarchive")
done

if ((${#archives[@]} == 1)); then
    mv "${archives[0]}" "$output"
else
    "$docc" merge "${archives[@]}" --synthesized-landing-page-name Celeriac --output-path "$output"
fi
rm -rf "$work"
echo "Documentation: $output (serve it with: python3 -m http.server --directory $output)"
