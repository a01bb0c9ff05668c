/** Who acts, in words. */
import type { Context } from '../detect/context.ts'
import type { LineageProcess } from '../detect/lineage.ts'
import { printable } from '../detect/words.ts'

/** `/usr/bin/curl (pid 501, uid 1000, workload vllm.service on gpu-1)`. */
export function actorInWords(process: LineageProcess, context: Context): string {
  const { pid, uid, exe, comm, node_id } = process
  const workload = context.workloadOf(process)
  // Outside of units, pods and jobs the workload is the executable: say it once.
  const role = workload === exe ? '' : `, workload ${printable(workload)}`
  return `${printable(exe || comm || 'A process')} (pid ${pid}, uid ${uid}${role} on ` +
    `${printable(node_id)})`
}

/** `/opt/conda/bin/python3.11` → `python`: the name of a program without folder and version. */
export function programOf(exe: string): string {
  let end = exe.length
  while (end > 0 && isOfVersion(exe.charCodeAt(end - 1))) end--
  return exe.slice(exe.lastIndexOf('/') + 1, end)
}

/** A digit, a dot or a hyphen. */
function isOfVersion(character: number): boolean {
  return character >= 48 && character <= 57 || character === 45 || character === 46
}
