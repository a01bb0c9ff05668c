#!/usr/bin/env bash
# Compiles the code of a checkout ahead, so that the first start is as fast as the next ones, also
# for users who may not write there: they are given what root, or whoever runs this, compiled.
#   bash tools/compile-cache.sh CHECKOUT [USER…]       users by name or number
# It is right for this version of Node and this kind of processor; others compile as they start.
set -euo pipefail

home=$(cd "${1:?usage: bash tools/compile-cache.sh CHECKOUT [USER…]}" && pwd)
shift
folder=$home/build/compile-cache
PATH=$home/node_modules/.bin:$PATH
unset NODE_COMPILE_CACHE NODE_DISABLE_COMPILE_CACHE NODE_OPTIONS

# What is no part of a command, but started by one: a thread, and a program of the drills.
LOAD_REST='
const { Worker } = require("node:worker_threads")
const home = process.argv[1]
import(`${home}/drills/peer.ts`)
const file = `${home}/agent/stores/artifacts/thread.ts`
const thread = new Worker(file, { workerData: {}, execArgv: [] })
// A job that it cannot read ends it, after all of it was loaded.
thread.on("error", (error) => { if (!(error instanceof TypeError)) throw error })
thread.on("message", () => thread.terminate())
thread.postMessage({})'

rm -rf "$folder"
# The help of all commands loads all of them, and makes the folder as it must be.
node "$home/cli/vedette.js" --help > /dev/null
[ -d "$folder" ] || { echo "compile-cache: $folder could not be made" >&2; exit 1; }
NODE_COMPILE_CACHE=$folder NODE_COMPILE_CACHE_PORTABLE=1 node --eval "$LOAD_REST" "$home"

[ $# -gt 0 ] || exit 0
# Node names a folder after who runs it, and keeps the files from others. These only read.
chmod -R a+rX "$folder"
for user in "$@"; do
  number=$(id -u "$user" 2> /dev/null) || number=$user
  for made in "$folder"/*-"$EUID"; do
    link=${made%-"$EUID"}-$number
    [ "$link" = "$made" ] || ln -sfn "$(basename "$made")" "$link"
  done
done
