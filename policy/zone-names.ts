/** In a flow: every zone, the built-in ones as well; a flow to it also opens the way out. */
export const ANY_ZONE = 'any'

/** Built-in zone of an address that no zone of the policy holds: the rest of the world. */
export const EXTERNAL_ZONE = 'external'

/**
 * Built-in zone of a process on a watched node that no zone holds, whose address no zone holds
 * either. It is not `external`: a flow that lets the Internet in must not let in a stray host
 * process as well.
 */
export const UNZONED_ZONE = 'unzoned'

/**
 * Built-in zones of the two ends of a drill (`match/drill-ranges.ts`): between them nothing is ever
 * allowed, so that a drill raises its incident under every policy, the learning one too.
 */
export const DRILL_ZONES: readonly string[] = ['drill-source', 'drill-target']

/** Names that a flow can use without a zone of that name in the file. */
export const BUILT_IN_NAMES: readonly string[] = [ANY_ZONE, EXTERNAL_ZONE, UNZONED_ZONE]

/** Names that a policy cannot give to a zone of its own. */
export const RESERVED_NAMES: readonly string[] = [...BUILT_IN_NAMES, ...DRILL_ZONES]
