// What `npm run generate` writes below deploy/: the ConfigMap with every setting explained, and install.yaml.
//
// A tidy test compares. **Invariant:** what the ConfigMap says of a setting is what the agent does, and each setting is in it.
import path from 'node:path'
import { stringify } from 'yaml'
import { SETTINGS, type Setting } from '../../src/settings.ts'
import { objectsText, renderKustomization } from './kustomize.ts'
import { ROOT } from './table.ts'

export const CONFIG_FILE = 'deploy/base/config.yaml'
export const INSTALL_FILE = 'deploy/install.yaml'
const WIDTH = 100

interface Given {
  /** As it stands in the file; without it the default is shown, behind a `#`. */
  readonly value?: string
  readonly why: string
}

/** Where the manifests differ from the defaults, and what there is to know of a setting on a cluster. */
export const GIVEN: Readonly<Record<string, Given>> = {
  nodeName: { why: "Set by the DaemonSet: the name of the pod's Node." },
  serviceProxy: { why: 'Set to none by the overlay policy-only and to picket by full, with a flag, which wins.' },
  masquerade: { why: 'Set to none by the overlay policy-only and to picket by full, with a flag, which wins.' },
  metricsAddress: {
    value: '"[::]:9655"',
    why: "Every address of the node, both families, so that Prometheus reaches it; whoever reaches the node's port 9655 can read it. Remove the line, and it is reached from the node only.",
  },
}

export function configText(settings: readonly Setting[] = SETTINGS): string {
  return [
    '# From src/settings.ts, by `npm run generate`.',
    'apiVersion: v1',
    'kind: ConfigMap',
    'metadata:',
    '  name: picket-agent',
    '  namespace: picket-system',
    '  labels:',
    '    app.kubernetes.io/name: picket',
    'data:',
    '  agent.yaml: |',
    ...settingsFile(settings).map((line) => (line === '' ? '' : `    ${line}`)),
    '',
  ].join('\n')
}

function settingsFile(settings: readonly Setting[]): readonly string[] {
  const head = [
    "# Settings of Picket's agent. What stands behind a # without a blank is a default: remove the # to change it. After an edit:",
    '# kubectl -n picket-system rollout restart daemonset/picket-agent',
    '# The operator takes apiServer and logLevel from here; after an edit of these: ... rollout restart deployment/picket-operator',
  ]
  return [...head, ...settings.flatMap((setting) => ['', ...settingLines(setting)])]
}

function settingLines(setting: Setting): readonly string[] {
  const given = GIVEN[setting.name]
  const help = [`${setting.name}: ${setting.help}.`, `Expects ${expectedOf(setting)}.`, ...(given === undefined ? [] : [given.why])]
  const line = given?.value === undefined ? `#${setting.name}: ${defaultOf(setting)}` : `${setting.name}: ${given.value}`
  return [...wrapped(help.join(' ')).map((text) => `# ${text}`), line]
}

function expectedOf(setting: Setting): string {
  if (setting.type === 'choice') return (setting.choices ?? []).join(' or ')
  if (setting.type === 'boolean') return 'true or false'
  if (setting.type === 'duration') return 'a duration such as 30s, 500ms or 2m'
  if (setting.type === 'list') return `a list: ${setting.expected ?? 'texts'}`
  return setting.expected ?? 'a text'
}

function defaultOf(setting: Setting): string {
  if (setting.default === null) return `<${setting.expected ?? 'a text'}>`
  return stringify(setting.default, { collectionStyle: 'flow', lineWidth: 0 }).trim()
}

function wrapped(text: string): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** `kubectl apply -f` of this is `kubectl apply -k deploy/policy-only`. */
export function installText(): string {
  const head = '# deploy/policy-only in one file, by `npm run generate`. What it grants and why: deploy/docs/install.md, deploy/docs/rbac.md.\n'
  return head + objectsText(renderKustomization(path.join(ROOT, 'deploy/policy-only')))
}
