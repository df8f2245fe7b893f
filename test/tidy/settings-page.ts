// The table of settings in deploy/docs/configuration.md, from the one in src/settings.ts.
//
// `npm run generate` writes it; a tidy test compares. **Invariant:** what the page says of a setting is what the agent does.
import { flagOf, OPERATOR_SETTINGS, SETTINGS, type Setting } from '../../src/settings.ts'

export const SETTINGS_FILE = 'deploy/docs/configuration.md'
const BEGIN = '<!-- from src/settings.ts, by `npm run generate` -->'
const BEGIN_OPERATOR = '<!-- the operator, from src/settings.ts, by `npm run generate` -->'
const END = '<!-- end -->'

export function settingsText(page: string): string {
  return withTable(withTable(page, BEGIN, SETTINGS), BEGIN_OPERATOR, OPERATOR_SETTINGS)
}

function withTable(page: string, begin: string, settings: readonly Setting[]): string {
  const [head, rest, ...more] = page.split(begin)
  const at = rest?.indexOf(END) ?? -1
  if (head === undefined || rest === undefined || more.length > 0 || at < 0) throw new Error(`${SETTINGS_FILE}: expected ${begin} and ${END}`)
  const rows = settings.map((s) => `| \`${s.name}\` | \`${flagOf(s.name)}\` | ${values(s)} | ${defaultOf(s)} | ${s.help} |`)
  return [`${head}${begin}`, '| in the file | flag | value | default | what it does |', '|---|---|---|---|---|', ...rows, rest.slice(at)].join('\n')
}

function values(setting: Setting): string {
  if (setting.type === 'choice') return (setting.choices ?? []).map((choice) => `\`${choice}\``).join(', ')
  if (setting.type === 'boolean') return '`true`, `false`'
  if (setting.type === 'duration') return 'a duration: `30s`, `500ms`, `2m`'
  return setting.expected ?? (setting.type === 'list' ? 'a list' : 'a text')
}

function defaultOf(setting: Setting): string {
  if (setting.env !== undefined) return setting.default === null ? `\`$${setting.env}\`; required` : `\`$${setting.env}\`${setting.default === '' ? '' : `, else \`${String(setting.default)}\``}`
  if (setting.default === null) return 'required'
  if (setting.default === '') return 'none'
  return `\`${Array.isArray(setting.default) ? JSON.stringify(setting.default) : String(setting.default)}\``
}
