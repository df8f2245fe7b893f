// Which of the agents' settings explain goes by, however they are given.
import assert from 'node:assert/strict'
import { verdictSettings } from '../../../src/check/agent-settings.ts'
import { worldSettings } from '../../../src/cli/explain-settings.ts'
import { USUAL_SETTINGS } from '../../../src/explain/world.ts'

const fileOf = (text: string): unknown => ({ data: { 'agent.yaml': text } })

describe('the settings that explain goes by', () => {
  it('are the defaults where nothing is set', () => assert.deepEqual(worldSettings(verdictSettings([], null)), USUAL_SETTINGS))

  it('are those of the file, and flags win', () => {
    const file = fileOf('nodeEgress: enforce\nmasqueradeAll: true\nserviceCIDRs: [10.96.0.0/16, "fd00:96::/112"]\nnodePortAddresses: [192.168.0.0/24]\n')
    const read = worldSettings(verdictSettings(['--node-egress', 'allow'], file))
    assert.deepEqual([read.nodeEgress, read.masqueradeAll], ['allow', true])
    assert.deepEqual(read.serviceCidrs.map(({ text }) => text), ['10.96.0.0/16', 'fd00:96::/112'])
    assert.ok(read.nodePortAddresses !== 'primary')
    assert.deepEqual(read.nodePortAddresses.map(({ text }) => text), ['192.168.0.0/24'])
    assert.equal(worldSettings(verdictSettings(['--masquerade-all=false'], file)).nodeEgress, 'enforce')
    assert.equal(worldSettings(verdictSettings(['--masquerade-all=false'], file)).masqueradeAll, false)
  })
})
