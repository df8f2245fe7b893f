// The oracle against the 112 cases of policy, whose expectations come from elsewhere.
//
// **Invariant:** every probe of every step of every case is compared; none is left out.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { Protocol } from '../../../src/model/objects.ts'
import { CaseCluster, policyCases } from '../../support/case-cluster.ts'
import { judge, passes } from '../../support/oracle.ts'

describe('oracle: agrees with the cases of policy', () => {
  const cases = policyCases()

  it('there are 112 of them', () => assert.equal(cases.length, 112))

  for (const c of cases) {
    it(`${c.id}: ${c.title}`, () => {
      const cluster = new CaseCluster(c)
      for (const [number, step] of c.steps.entries()) {
        for (const action of step.actions) cluster.play(action)
        for (const [probe, rows] of Object.entries(step.expect)) {
          const [, version, port, protocol] = /^v([46]) (\d+)\/(TCP|UDP|SCTP)$/.exec(probe) as unknown as [string, string, string, Protocol]
          const family = version === '4' ? 0 : 1
          const found = step.pods.map((from) =>
            step.pods
              .map((to) => {
                const source = cluster.addresses(from)[family] as string
                const destination = cluster.addresses(to)[family] as string
                return passes(judge(cluster.objects, { source, destination, protocol, port: Number(port) })) ? '1' : '0'
              })
              .join(''),
          )
          assert.deepEqual(found, rows, `step ${number + 1}, ${probe}`)
        }
      }
    })
  }
})

describe('oracle: is independent', () => {
  const allowed: Readonly<Record<string, RegExp>> = {
    'oracle.ts': /^import (type \{[^}]*\} from '\.\.\/\.\.\/src\/model\/[a-z-]+\.ts'|type \{[^}]*\} from '\.\/manifests\.ts'|\{[^}]*\} from '\.\/(manifests|oracle-address)\.ts')$/,
    'oracle-address.ts': /^never$/,
    'manifests.ts': /^never$/,
  }

  for (const [file, pattern] of Object.entries(allowed)) {
    it(`${file} imports types from src/model and nothing else`, () => {
      const text = readFileSync(new URL(`../../support/${file}`, import.meta.url), 'utf8')
      assert.doesNotMatch(text, /\b(require|import)\s*\(/, 'no import by another way')
      for (const line of text.split('\n').filter((l) => /^\s*(import|export .* from)\b/.test(l))) assert.match(line, pattern)
    })
  }
})
