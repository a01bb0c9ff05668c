// What can go wrong between Vedette and the Kubernetes API, each with what to do about it.

/** Every code of this folder with what to do about it. */
export const KUBERNETES_ERRORS = {
  KUBERNETES_ACCESS: 'Run in a pod with a service account, or name --kubernetes-api, ' +
    '--kubernetes-token-file and --kubernetes-ca-file.',
  KUBERNETES_UNREACHABLE: 'Check the address and the network policy; names stay as they are.',
  KUBERNETES_REFUSED: 'Give the service account get, list and watch for what is named ' +
    '(deploy/kubernetes/base); names stay as they are.',
  KUBERNETES_ANSWER: 'Check that the address is that of a Kubernetes API server.',
} as const

export type KubernetesErrorCode = keyof typeof KUBERNETES_ERRORS

/** The only error that this folder throws on purpose. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError'
  readonly code: KubernetesErrorCode
  /** HTTP status; 0 when there was none. */
  readonly status: number

  /** @param what what happened and where, in plain words, without a full stop. */
  constructor(code: KubernetesErrorCode, what: string, status = 0, cause?: unknown) {
    super(`${what}. ${KUBERNETES_ERRORS[code]}`, { cause })
    this.code = code
    this.status = status
  }
}
