// The table of settings in deploy/docs/configuration.md, from the one in src/settings.ts.
//
// `npm run generate` writes it; a tidy test compares. **Invariant:** what the page says of a setting is what the agent does.
import { flagOf, SETTINGS, type Setting } from '../../src/settings.ts'

export const SETTINGS_FILE = 'deploy/docs/configuration.md'
const BEGIN = '<!-- from src/settings.ts, by `npm run generate` -->'
const END = '<!-- end -->'

export function settingsText(page: string): string {
  const [head, rest] = page.split(BEGIN)
  const tail = rest?.split(END)[1]
  if (head === undefined || tail === undefined) throw new Error(`${SETTINGS_FILE}: expected ${BEGIN} and ${END}`)
  const rows = SETTINGS.map((s) => `| \`${s.name}\` | \`${flagOf(s.name)}\` | ${values(s)} | ${defaultOf(s)} | ${s.help} |`)
  return [`${head}${BEGIN}`, '| in the file | flag | value | default | what it does |', '|---|---|---|---|---|', ...rows, `${END}${tail}`].join('\n')
}

function values(setting: Setting): string {
  if (setting.type === 'choice') return (setting.choices ?? []).map((choice) => `\`${choice}\``).join(', ')
  if (setting.type === 'boolean') return '`true`, `false`'
  if (setting.type === 'duration') return 'a duration: `30s`, `500ms`, `2m`'
  return setting.expected ?? (setting.type === 'list' ? 'a list' : 'a text')
}

function defaultOf(setting: Setting): string {
  if (setting.env !== undefined) return `\`$${setting.env}\`; required`
  if (setting.default === null) return 'required'
  if (setting.default === '') return 'none'
  return `\`${Array.isArray(setting.default) ? JSON.stringify(setting.default) : String(setting.default)}\``
}
