// `npm run generate`: writes what is made from src/imports.json into .oxlintrc.json and src/README.md, the table of
// settings into deploy/docs/configuration.md and the ConfigMap, that of metrics into deploy/docs/metrics.md, the custom
// resources into crds/, and deploy/install.yaml.
//
// **Invariant:** running it twice changes nothing the second time.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CRD_FOLDER, crdFiles } from './crd-files.ts'
import { CONFIG_FILE, configText, INSTALL_FILE, installText } from './install-files.ts'
import { METRICS_FILE, metricsText } from './metrics-page.ts'
import { SETTINGS_FILE, settingsText } from './settings-page.ts'
import { LINTER_FILE, linterText, MAP_FILE, mapText, readTable, ROOT } from './table.ts'

const rows = readTable()
writeFileSync(LINTER_FILE, linterText(readFileSync(LINTER_FILE, 'utf8'), rows))
writeFileSync(MAP_FILE, mapText(readFileSync(MAP_FILE, 'utf8'), rows))
writeFileSync(SETTINGS_FILE, settingsText(readFileSync(SETTINGS_FILE, 'utf8')))
writeFileSync(METRICS_FILE, metricsText(readFileSync(METRICS_FILE, 'utf8')))
writeFileSync(CONFIG_FILE, configText())
const crds = path.join(ROOT, CRD_FOLDER)
rmSync(crds, { recursive: true, force: true })
mkdirSync(crds)
for (const [file, text] of crdFiles()) writeFileSync(path.join(crds, file), text)
writeFileSync(INSTALL_FILE, installText())
