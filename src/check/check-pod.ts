// The short-lived pod that looks at one node from inside: what it is, and in which namespace it is made.
//
// It has the node's network and CAP_NET_ADMIN, no token, a read-only root, and nothing of the node's files but the agent's socket.
// **Invariant:** what is made carries the label of its run, by which kubectl finds what could not be removed.

export interface CheckPod {
  readonly name: string
  readonly node: string
  readonly image: string
  /** Whether an agent runs there: only then its socket's folder is mounted, which would be made where it is not there. */
  readonly hasAgent: boolean
  /** Of this run. */
  readonly run: string
  /** Seconds after which kubelet ends it, should nobody remove it. */
  readonly deadline: number
}

export const RUN_LABEL = 'picket.dev/check'
const SOCKET_FOLDER = '/run/picket'

export function podObject({ name, node, image, hasAgent, run, deadline }: CheckPod): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { 'app.kubernetes.io/name': 'picket-check', [RUN_LABEL]: run } },
    spec: {
      nodeName: node,
      hostNetwork: true,
      restartPolicy: 'Never',
      activeDeadlineSeconds: deadline,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'check',
          image,
          imagePullPolicy: 'IfNotPresent',
          // Behind the image's own entry point, which is picket.
          args: ['check', '--local', '--output', 'json'],
          securityContext: {
            runAsUser: 0,
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
          ...(hasAgent ? { volumeMounts: [{ name: 'socket', mountPath: SOCKET_FOLDER, readOnly: true }] } : {}),
        },
      ],
      ...(hasAgent ? { volumes: [{ name: 'socket', hostPath: { path: SOCKET_FOLDER, type: 'Directory' } }] } : {}),
    },
  }
}

/** Of its own, where Picket has none yet: hostNetwork is not allowed elsewhere. */
export function namespaceObject(name: string, run: string): unknown {
  const level = Object.fromEntries(['enforce', 'audit', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'privileged']))
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...level, [RUN_LABEL]: run } } }
}
