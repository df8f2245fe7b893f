// What the lab's commands share: their options, their progress on stderr, and what a person may call a lab.
//
// **Invariant:** progress goes to stderr, and only for what takes longer than two seconds.
import { InvalidArgumentError, Option } from 'commander'
import { POD_ATTACHMENTS } from '../lab/testbed.ts'

/** Progress is silent for this long: what is quick needs none. */
const QUIET_MS = 2_000
const MOST_NODES = 16

export function nameOption(): Option {
  return new Option('--name <name>', 'which lab, where there are several: 1 to 8 of a-z and 0-9').default('default')
}

export function nodesOption(least: number): Option {
  return new Option('--nodes <number>', `nodes of the lab, ${least} to ${MOST_NODES}, each with its own agent`).default(2).argParser((text) => {
    const count = /^\d+$/.test(text) ? Number(text) : 0
    if (count < least || count > MOST_NODES) throw new InvalidArgumentError(`expected a number from ${least} to ${MOST_NODES}`)
    return count
  })
}

export function attachmentOption(): Option {
  return new Option('--attachment <kind>', 'how pods are attached to their node: a veth each, or ports of a bridge').choices(POD_ATTACHMENTS).default('veth')
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

/** Prints what is told once `QUIET_MS` are over: the last thing said by then, and everything after it. */
export function progressOnStderr(): (text: string) => void {
  const started = performance.now()
  let held: string | null = null
  const timer = setTimeout(() => {
    if (held !== null) process.stderr.write(`${held}\n`)
  }, QUIET_MS)
  timer.unref()
  return (text) => {
    held = text
    if (performance.now() - started >= QUIET_MS) process.stderr.write(`${text}\n`)
  }
}
