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

/** Names that a policy cannot give to a zone of its own. */
export const RESERVED_NAMES: readonly string[] = [ANY_ZONE, EXTERNAL_ZONE, UNZONED_ZONE]
