// Where an installation has its agents, as deploy/base makes it: whoever asks a cluster about them finds them by this.
//
// **Invariant:** what stands here stands in deploy/base, too.

export const PICKET_NAMESPACE = 'picket-system'
/** Of the DaemonSet, and of its pods; that which uninstalls has another component. */
export const AGENT_LABELS = { 'app.kubernetes.io/name': 'picket', 'app.kubernetes.io/component': 'agent' } as const
/** Its settings. */
export const AGENT_CONFIG_MAP = { plural: 'configmaps', group: '', path: `/api/v1/namespaces/${PICKET_NAMESPACE}/configmaps/picket-agent` } as const
