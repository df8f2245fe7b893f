// Reads a file of policy cases (test/cases/networkpolicy.json is one) into what the runner does, step by step.
//
// Text -> PolicyCase[]; nothing runs before the whole file was read. What a NetworkPolicy says is not looked at: an invalid
// one is the agents' to report, and a case may be about just that. **Invariant:** every action names objects that exist
// at that moment of the case, and every expected matrix has one row and one column for each pod of its step.
import { PicketError } from '../lib/errors.ts'
import { at, documentOf, invalid, labelsAt, listAt, nameAt, objectAt, shown, textAt, topOf, type JsonObject, type Place } from './case-fields.ts'
import { readAction } from './case-actions.ts'
import { readKeyedPod } from './case-pods.ts'
import type { CaseStart, LabelMap, PolicyCase, Step } from './case-types.ts'
import { applyAction, UnknownObject, worldOf, type World } from './case-world.ts'
import { parseProbeName, type ProbeName } from './probe-name.ts'

/** Throws a PicketError that names file, case, step and field. `only`: ids to keep, all of them where it is empty. */
export function parseCases(text: string, file: string, only: readonly string[] = []): readonly PolicyCase[] {
  return readCases(documentOf(text, file), topOf(file), only)
}

/** As parseCases, of a document that was read. */
export function readCases(document: JsonObject, top: Place, only: readonly string[]): readonly PolicyCase[] {
  const { file } = top
  const list = listAt(document['cases'], at(top, 'cases'))
  if (list.length === 0) throw invalid(at(top, 'cases'), 'expected at least one case')
  const cases = list.map((one, index) => readCase(one, { ...top, field: `cases[${index}]` }))
  const seen = new Set<string>()
  for (const { id } of cases) {
    if (seen.has(id)) throw invalid({ ...top, caseId: id }, 'expected one case of each id, found two')
    seen.add(id)
  }
  for (const id of only) if (!seen.has(id)) throw new PicketError('UnknownCase', `${file}: has no case ${shown(id)}${nearby(id, seen)}`)
  return only.length === 0 ? cases : cases.filter((one) => only.includes(one.id))
}

function nearby(id: string, known: ReadonlySet<string>): string {
  const some = [...known].filter((one) => one.startsWith(id.slice(0, 2))).slice(0, 5)
  return `; it has ${(some.length > 0 ? some : [...known].slice(0, 5)).join(', ')}${known.size > some.length ? ' and others' : ''}`
}

function readCase(value: unknown, unnamed: Place): PolicyCase {
  const fields = objectAt(value, unnamed)
  const id = textAt(fields['id'], at(unnamed, 'id'))
  const place: Place = { ...unnamed, caseId: id, field: '' }
  const namespaces = new Map<string, LabelMap>()
  for (const [name, labels] of Object.entries(objectAt(fields['namespaces'], at(place, 'namespaces')))) {
    const here = at(at(place, 'namespaces'), name)
    namespaces.set(nameAt(name, here, 'namespace'), labelsAt(labels, here))
  }
  const pods = Object.entries(objectAt(fields['pods'], at(place, 'pods'))).map(([key, pod]) => readKeyedPod(key, pod, at(at(place, 'pods'), key)))
  const start: CaseStart = { namespaces, pods }
  let serial = 0
  let world = checked(at(place, 'pods'), () => worldOf(start, () => String(serial++)))
  const steps: Step[] = []
  const list = listAt(fields['steps'], at(place, 'steps'))
  if (list.length === 0) throw invalid(at(place, 'steps'), 'expected at least one step')
  for (const [index, step] of list.entries()) {
    const read = readStep(step, { ...place, step: index, field: '' }, start, world)
    steps.push(read.step)
    world = read.world
  }
  return Object.freeze({ ...start, id, title: typeof fields['title'] === 'string' ? fields['title'] : '', steps })
}

function readStep(value: unknown, place: Place, start: CaseStart, before: World): { readonly step: Step; readonly world: World } {
  const fields = objectAt(value, place)
  let world = before
  const actions = listAt(fields['actions'] ?? [], at(place, 'actions')).map((one, index) => {
    const here = at(at(place, 'actions'), index)
    const action = readAction(one, here)
    world = checked(at(here, action.kind), () => applyAction(world, action, start))
    return action
  })
  const pods = readRows(fields, place, world)
  const expect = fields['expect'] === undefined ? null : readExpect(fields['expect'], at(place, 'expect'), pods.length)
  return { step: { actions, pods, expect }, world }
}

function readRows(fields: JsonObject, place: Place, world: World): readonly string[] {
  if (fields['pods'] === undefined && fields['expect'] === undefined) return [...world.pods.keys()]
  const seen = new Set<string>()
  for (const [index, value] of listAt(fields['pods'], at(place, 'pods')).entries()) {
    const here = at(at(place, 'pods'), index)
    const key = textAt(value, here)
    if (!world.pods.has(key)) throw invalid(here, `expected a pod that exists at this step (namespace/name), found ${shown(key)}`)
    if (seen.has(key)) throw invalid(here, `expected each pod once, found ${shown(key)} again`)
    seen.add(key)
  }
  return [...seen]
}

function readExpect(value: unknown, place: Place, size: number): ReadonlyMap<ProbeName, readonly string[]> {
  const expect = new Map<ProbeName, readonly string[]>()
  for (const [name, rows] of Object.entries(objectAt(value, place))) {
    const here = at(place, name)
    if (parseProbeName(name) === null) throw invalid(here, 'expected a probe such as "v4 8080/TCP"')
    const list = listAt(rows, here)
    if (list.length !== size) throw invalid(here, `expected ${size} rows, one for each of the step's pods, found ${list.length}`)
    expect.set(
      name,
      list.map((row, index) => {
        if (typeof row === 'string' && row.length === size && /^[01]*$/.test(row)) return row
        throw invalid(at(here, index), `expected ${size} characters 0 or 1, found ${shown(row)}`)
      }),
    )
  }
  return expect
}

/** Runs `make`; an UnknownObject becomes an error at `place`. */
function checked(place: Place, make: () => World): World {
  try {
    return make()
  } catch (error) {
    if (error instanceof UnknownObject) throw invalid(place, error.message)
    throw error
  }
}

