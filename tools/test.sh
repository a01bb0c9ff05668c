#!/usr/bin/env bash
# What `npm test` runs, after the set-up: types, all vitest tests, the addon under AddressSanitizer,
# the scenarios of the cluster rig, the probe tests on real Debian kernels in QEMU. The last line
# is `N passed, N failed, N skipped`; exit 0 only without failures.
#   npm test -- log/        only these vitest tests (arguments go to vitest)
#   VEDETTE_TEST_KERNELS    6.1 (default), 6.12, all or none: kernels of the rig
#   VEDETTE_TEST_RIG        ci (default), all (ten minutes more) or none: scenarios of test/rig
#   VEDETTE_TEST_IMAGE      1 builds the container image (two minutes); so does CI with time left
#   VEDETTE_TEST_WAYS       all (default), hooks or best: ways to attach tried in the rig; CI: hooks
#                           on the first kernel, the best on the others
#   VEDETTE_TEST_STORES     small (default in the rig) or full (elsewhere): what tests of stores
#                           read, 4 MiB and 3,000 files, or 64 MiB and 100,000
#   VEDETTE_TEST_DEADLINE   seconds since 1970; kernels that do not end before it have failed
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
PATH=$PWD/node_modules/.bin:$PATH
OUT=build/test
KERNEL_LIMIT_S=2100
IMAGE_ALLOWANCE_S=900
BOOT_ALLOWANCE_S=60
rm -rf "$OUT"
mkdir -p "$OUT"
stages=()

title() { printf '\n== %s\n' "$*"; }
warn() { printf '\n!! SKIPPED: %s\n' "$*" >&2; }

# stage NAME EXIT_STATUS [RESULTS]: remembered for the summary.
stage() { stages+=("$1=$2=${3-}"); }

run_vitest() {
  vitest run "$@" --reporter=default --reporter=json --outputFile.json="$OUT/vitest.json"
  stage vitest $? "$OUT/vitest.json"
}

# Seconds left to the deadline, or very many without one.
seconds_left() {
  if [ -z "${VEDETTE_TEST_DEADLINE-}" ]; then echo 1000000; return; fi
  echo $((VEDETTE_TEST_DEADLINE - $(date +%s)))
}

# test/image.test.ts says it loudly when it is left out.
choose_image() {
  if [ -z "${VEDETTE_TEST_IMAGE-}" ] && [ -n "${CI-}" ] &&
    [ "$(seconds_left)" -ge "$IMAGE_ALLOWANCE_S" ]; then
    export VEDETTE_TEST_IMAGE=1
  fi
}

run_rig() {
  local only=--ci
  case "${VEDETTE_TEST_RIG-ci}" in
    none) warn 'the cluster rig (VEDETTE_TEST_RIG=none)'; stage 'cluster rig' skipped; return ;;
    all) only= ;;
  esac
  if [ "$EUID" -ne 0 ]; then
    warn 'the cluster rig (needs root)'
    stage 'cluster rig' skipped
    return
  fi
  title 'scenarios on the cluster rig'
  # The stories are for people: npm run rig.
  node test/rig/main.ts ${only:+"$only"} --results "$OUT/rig.json" --quiet
  stage 'cluster rig' $? "$OUT/rig.json"
}

# All at the same time: an emulated machine with two processors keeps less than one busy. The first
# kernel has two machines, since it tries more ways, and is often the only one. The first one's
# output is shown as it comes, that of the others when they ended.
run_kernels() {
  local kernels kernel limit run name ways status
  local -a runs=()
  local -A pids=()
  case "${VEDETTE_TEST_KERNELS-6.1}" in
    all) kernels='6.1 6.12' ;;
    none) kernels='' ;;
    *) kernels=${VEDETTE_TEST_KERNELS-6.1} ;;
  esac
  if [ "$(uname -m)" != x86_64 ]; then kernels=''; fi
  if [ -z "$kernels" ]; then
    warn 'the kernel rig (VEDETTE_TEST_KERNELS=none, or not an x86_64 machine)'
    stage 'kernel rig' skipped
    return
  fi
  limit=$(($(seconds_left) - BOOT_ALLOWANCE_S))
  limit=$((limit > KERNEL_LIMIT_S ? KERNEL_LIMIT_S : limit < 60 ? 60 : limit))
  title "probe tests on Debian's kernels ($kernels), in QEMU"
  for kernel in $kernels; do
    if [ "${#runs[@]}" -eq 0 ]; then
      runs=("$kernel-gpu-and-stores" "$kernel-others")
    else
      runs+=("$kernel")
    fi
  done
  # A shell's background jobs do not hear Ctrl-C; QEMU ends with the program that started it.
  trap 'kill "${pids[@]}" 2> /dev/null' EXIT
  for run in "${runs[@]}"; do
    rm -f "build/vm/out/$run/vitest.json"
    : > "$OUT/$run.log"
    kernel=${run%%-*}
    name=${run#"$kernel"}
    ways=$([ "$kernel" = "${kernels%% *}" ] && echo hooks || echo best)
    VEDETTE_TEST_WAYS=${VEDETTE_TEST_WAYS-${CI:+$ways}} node test/vm/main.ts --kernel "$kernel" \
      ${name:+--part "${name#-}"} --timeout_s "$limit" >> "$OUT/$run.log" 2>&1 &
    pids[$run]=$!
  done
  tail --pid="${pids[${runs[0]}]}" -n +1 -f "$OUT/${runs[0]}.log"
  for run in "${runs[@]}"; do
    wait "${pids[$run]}"
    status=$?
    if [ "$run" != "${runs[0]}" ]; then
      title "kernel $run"
      cat "$OUT/$run.log"
    fi
    stage "kernel $run" "$status" "build/vm/out/$run/vitest.json"
  done
  trap - EXIT
}

if [ "$EUID" -ne 0 ]; then
  warn 'tests that load BPF programs on this kernel: they need root (sudo npm test)'
fi
if [ "$#" -gt 0 ]; then
  run_vitest "$@"
else
  title 'types'
  tsc --noEmit
  stage types $?
  title 'tests'
  choose_image
  run_vitest
  if [ "$EUID" -eq 0 ]; then
    title 'the addon under AddressSanitizer and its leak checker'
    node native/sanitize.ts
    stage sanitizer $?
  else
    warn 'the addon under AddressSanitizer (needs root, as its tests do)'
    stage sanitizer skipped
  fi
  run_rig
  run_kernels
fi
title "summary after $SECONDS s"
node tools/test-summary.ts "${stages[@]}"
