// Reads a file for `picket lab run`: cases of policies, or cases of Services.
//
// Text -> CaseFile; what it holds decides which. **Invariant:** a file is of one kind, and holds at least one case.
import { PicketError } from '../lib/errors.ts'
import { at, documentOf, invalid, shown, topOf, type JsonObject, type Place } from './case-fields.ts'
import { readCases } from './cases.ts'
import type { PolicyCase } from './case-types.ts'
import type { ServiceCases } from './service-case-types.ts'
import { readScenarios } from './service-cases.ts'
import { readTopology } from './topology-cases.ts'

export type CaseFile = { readonly kind: 'policy'; readonly cases: readonly PolicyCase[] } | ({ readonly kind: 'service' } & ServiceCases)

/** Throws a PicketError that names file, case, step and field. `only`: ids of cases, numbers of scenarios; all where it is empty. */
export function parseCaseFile(text: string, file: string, only: readonly string[] = []): CaseFile {
  const document = documentOf(text, file)
  const top = topOf(file)
  const services = document['scenarios'] !== undefined || document['topology'] !== undefined
  if (services && document['cases'] !== undefined) throw invalid(top, 'expected either cases or scenarios and topology, found both')
  return services ? readServiceCases(document, top, only) : { kind: 'policy', cases: readCases(document, top, only) }
}

function readServiceCases(document: JsonObject, top: Place, only: readonly string[]): CaseFile {
  const { scenarios: some = [], topology: more = [] } = document
  const scenarios = readScenarios(some, at(top, 'scenarios'))
  const topology = readTopology(more, at(top, 'topology'))
  if (scenarios.length + topology.length === 0) throw invalid(top, 'expected at least one of scenarios and topology')
  for (const one of only) {
    if (!scenarios.some(({ number }) => String(number) === one)) {
      throw new PicketError('UnknownCase', `${top.file}: has no scenario ${shown(one)}; scenarios are numbered 0 to ${scenarios.length - 1}`)
    }
  }
  if (only.length === 0) return { kind: 'service', scenarios, topology }
  return { kind: 'service', scenarios: scenarios.filter(({ number }) => only.includes(String(number))), topology: [] }
}
