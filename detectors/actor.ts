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
  return exe.slice(exe.lastIndexOf('/') + 1).replace(/[-.\d]+$/, '')
}
