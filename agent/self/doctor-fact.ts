// What `vedette doctor` says of one thing.

/** One line of the report. */
export interface DoctorFact {
  /** Such as 'btf', 'probe process_exec', or 'program process_exec_tp_btf'. */
  name: string
  /** degraded: it works, and something is lost. waiting: not tried, as its module is not loaded. */
  state: 'have' | 'missing' | 'degraded' | 'waiting'
  /** What was found. */
  detail: string
  /** What cannot be seen or done because of it; '' when nothing. */
  lost: string
  /** How to get it; '' when there is nothing to do. */
  fix: string
}

/** One of them. */
export function fact(
  name: string, state: DoctorFact['state'], detail: string, lost = '', fix = '',
): DoctorFact {
  return { name, state, detail, lost, fix }
}
