#!/usr/bin/env bash
# The build without `collector` receives, publishes, and hands on to the next site with the first collector's proof.
# usage: tests/receiver.sh PATH-TO-chantal
set -euo pipefail
chantal=$(realpath "$1")
vectors=$(realpath "$(dirname "$0")/fixtures/bundle-v1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fingerprint() { ssh-keygen -l -f "$1" | cut -d' ' -f2; }
fails() { local code=0; "${@:2}" >said 2>&1 || code=$?; [ "$code" = "$1" ] || { echo "$* ended with $code"; cat said; exit 1; }; }

"$chantal" -q init --role receiver --site plant-7 plant
"$chantal" -q init --role receiver --site ship-3 ship
fails 2 "$chantal" --config plant/chantal.yaml sync nothing

echo "sites: [{ name: ship-3, repositories: [tools, wheels] }]" >>plant/chantal.yaml
echo "repositories: [{ name: tools, verify: { origin: hq } }]" >>ship/chantal.yaml
plant() { "$chantal" -q --config plant/chantal.yaml "$@"; }
ship() { "$chantal" -q --config ship/chantal.yaml "$@"; }

plant trust add "$vectors/hq.pub" --collector hq --fingerprint "$(fingerprint "$vectors/hq.pub")"
plant import "$vectors"/hq.plant-7-e01-00000*
plant publish
mkdir disk
plant export --to ship-3 --parity 10% --out disk

plant key show >plant.pub
ship trust add plant.pub --collector plant-7 --fingerprint "$(fingerprint plant.pub)"
fails 3 "$chantal" --config ship/chantal.yaml import disk
grep -q "nothing proves that .hq. made this state" said
ship trust add "$vectors/hq.pub" --collector hq --fingerprint "$(fingerprint "$vectors/hq.pub")"
ship import disk
ship publish
diff -r --no-dereference -x index.html -x '*.repo' -x .chantal-tree plant/published/tools/ ship/published/tools/
echo "the receiver's build imported two bundles and handed them on"
