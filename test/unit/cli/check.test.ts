// `picket check` as a command: how findings are shown, the exit status, and what it refuses.
//
// **Invariant:** every finding is one line, with what to do on it.
import assert from 'node:assert/strict'
import { error, ok, warning, type PlacedFinding } from '../../../src/check/finding.ts'
import { reportText } from '../../../src/cli/check-report.ts'
import { runProgram } from '../../../src/cli/program.ts'

const FINDINGS: readonly PlacedFinding[] = [
  { node: null, ...ok('api-server', 'Kubernetes v1.37.2') },
  { node: 'n1', ...warning('sysctl', 'nothing is forwarded', 'set it to 1') },
  { node: 'node-2', ...error('kube-proxy', 'IPVS', 'set mode: nftables') },
]

describe('picket check', () => {
  it('shows a line for each finding, in columns, and adds up', () => {
    assert.equal(
      reportText(FINDINGS),
      [
        'LEVEL     NODE     CHECK        FOUND',
        'ok        -        api-server   Kubernetes v1.37.2',
        'warning   n1       sysctl       nothing is forwarded; set it to 1',
        'error     node-2   kube-proxy   IPVS; set mode: nftables',
        '',
        '1 error, 1 warning, 1 ok',
      ].join('\n'),
    )
  })
  it('refuses what contradicts itself, and what cannot be asked', async () => {
    await assert.rejects(runProgram(['check', '--local', '--node', 'n1']), { code: 'Usage', exit: 2, message: /--local.*--node/ })
    await assert.rejects(runProgram(['check', '--no-pods', '--node', 'n1', '--kubeconfig', 'x']), { code: 'Usage', exit: 2 })
    await assert.rejects(runProgram(['check', '--kubeconfig', '/nowhere/kubeconfig']), { exit: 2, message: /\/nowhere\/kubeconfig: the kubeconfig cannot be read/ })
    await assert.rejects(runProgram(['check', '--timeout', '5']), { code: 'Usage', message: /expected a duration/ })
  })
})
