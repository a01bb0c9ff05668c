// Where the Kubernetes API is, and who we are to it.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KubernetesError } from './errors.ts'

export interface Access {
  /** Such as https://10.96.0.1:443. */
  api: URL
  /** PEM file of whom to trust; absent: the public authorities. */
  caFile?: string
  /** File with the bearer token; absent: none is sent. */
  tokenFile?: string
}

/** As given by flags or file; everything may be left out inside of a pod. */
export interface AccessSettings {
  /** `off`: nobody is asked. A URL; absent: the API of the cluster that this pod runs in. */
  kubernetes_api?: string
  kubernetes_ca_file?: string
  kubernetes_token_file?: string
}

/** Where Kubernetes puts the credentials of a pod. */
const podFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * How to reach the API; undefined outside of a cluster when nothing is set, or when it is off.
 * Throws KubernetesError KUBERNETES_ACCESS for settings that cannot be used.
 */
export function accessOf(
  settings: AccessSettings, env: NodeJS.ProcessEnv = process.env, folder = podFolder,
): Access | undefined {
  const { kubernetes_api: given, kubernetes_ca_file: ca, kubernetes_token_file: token } = settings
  if (given === 'off') return undefined
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env
  if (given === undefined && !host) return undefined
  const text = given ?? `https://${host!.includes(':') ? `[${host}]` : host}:${port}`
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new KubernetesError('KUBERNETES_ACCESS',
      `kubernetes_api ${JSON.stringify(text.slice(0, 80))} is no URL such as https://10.96.0.1:443`)
  }
  const inPod = (name: string): string | undefined => {
    const file = join(folder, name)
    return given === undefined && existsSync(file) ? file : undefined
  }
  return {
    api: new URL(text), caFile: ca ?? inPod('ca.crt'), tokenFile: token ?? inPod('token'),
  }
}

/** Kubelet renews tokens on disk long before they end: reading once a minute is enough. */
const tokenAgeMsMax = 60_000

/** The bearer token, read again each minute and when the API refuses it. */
export class Token {
  readonly #file: string | undefined
  #token = ''
  #readMs = -Infinity

  constructor(file: string | undefined) {
    this.#file = file
  }

  /** Value for the Authorization header; undefined without a token. Throws KUBERNETES_ACCESS. */
  header(nowMs: number): string | undefined {
    if (this.#file === undefined) return undefined
    if (nowMs - this.#readMs > tokenAgeMsMax) {
      try {
        this.#token = readFileSync(this.#file, 'utf8').trim()
      } catch (error) {
        throw new KubernetesError('KUBERNETES_ACCESS',
          `the token file ${this.#file} cannot be read`, 0, error)
      }
      this.#readMs = nowMs
    }
    return `Bearer ${this.#token}`
  }

  /** It was refused: read it again at the next use. */
  expire(): void {
    this.#readMs = -Infinity
  }
}
