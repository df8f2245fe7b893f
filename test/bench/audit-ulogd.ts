// The comparison: ulogd2 reads the same group under the same flood, by the log rules without limits that the agent left.
//
// **Invariant:** where ulogd2 cannot be had, there are no figures, and the bench says so.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pause } from '../support/real-wire.ts'
import { cpuOf, isInstalled, type AuditStage } from './audit-stage.ts'
import type { Figure } from './bench.ts'

const ULOGD = '/usr/sbin/ulogd'
const PLUGINS = ['/usr/lib/x86_64-linux-gnu/ulogd', '/usr/lib/aarch64-linux-gnu/ulogd']

export async function floodUlogd(stage: AuditStage, note: (text: string) => void): Promise<readonly Figure[] | null> {
  if (!isInstalled(ULOGD, 'ulogd2')) {
    note('ulogd2 cannot be installed: no comparison')
    return null
  }
  const { lab } = stage
  await stage.leave('unlimited')
  const plugins = PLUGINS.find((folder) => existsSync(folder)) ?? ''
  const [config, output] = [path.join(lab.places.folder, 'ulogd.conf'), path.join(lab.places.folder, 'ulogd.txt')]
  const plugin = (name: string): string => `plugin="${plugins}/ulogd_${name}.so"`
  writeFileSync(
    config,
    ['[global]', 'logfile="/dev/null"', ...['inppkt_NFLOG', 'raw2packet_BASE', 'filter_IFINDEX', 'filter_IP2STR', 'filter_PRINTPKT', 'output_LOGEMU'].map(plugin), 'stack=log:NFLOG,base:BASE,ifi:IFINDEX,ip2str:IP2STR,print:PRINTPKT,emu:LOGEMU', '[log]', 'group=61', 'netlink_socket_buffer_size=8388608', 'netlink_socket_buffer_maxsize=8388608', 'netlink_qthreshold=64', '[emu]', `file="${output}"`, 'sync=0', ''].join('\n'),
  )
  const child = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source('n1'))}`, '--', ULOGD, '-c', config], { stdio: 'ignore' })
  try {
    await pause(1_000)
    if (child.exitCode !== null || child.pid === undefined) {
      note(`ulogd2 ended with status ${child.exitCode}: no comparison`)
      return null
    }
    const [logged, cpu, start] = [stage.counters(/^logged\/ingress\/shop/), cpuOf(child.pid), performance.now()]
    await stage.flood()
    const [seconds, used] = [(performance.now() - start) / 1_000, cpuOf(child.pid) - cpu]
    await pause(1_000)
    const asked = stage.counters(/^logged\/ingress\/shop/) - logged
    if (asked < 1_000) throw new Error(`only ${asked} packets were logged to ulogd2: the rules are not those without limits`)
    child.kill('SIGTERM')
    await once(child, 'exit')
    const lines = readFileSync(output).reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0)
    note(`ulogd2: ${lines} of ${asked} packets in ${seconds.toFixed(1)} s, ${(used / seconds).toFixed(2)} cores`)
    return [
      { name: 'ulogd2: packets a second', value: lines / seconds, unit: '1/s', aim: '' },
      { name: 'ulogd2: lost without a word', value: (100 * (asked - lines)) / Math.max(1, asked), unit: '%', aim: '' },
      { name: 'ulogd2: CPU for each packet', value: (used / Math.max(1, lines)) * 1e6, unit: 'us', aim: '' },
    ]
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL')
  }
}
