// What `picket status --wait` says: how far it is while it waits, and what is missing at the end.
//
// **Invariant:** what it says at the end fits on one screen.
import type { Missing } from '../status/wait.ts'
import type { WaitProgress, WaitResult } from '../status/waiting.ts'

/** As many as fit on one screen. */
const MOST_LINES = 16

export function progressText({ policies, programmed, missing }: WaitProgress): string {
  const counted = countedText(programmed, policies)
  const [first] = missing
  if (first === undefined) return counted
  return `${counted}; waiting for ${textOf(first)}${missing.length > 1 ? ` and ${missing.length - 1} more` : ''}`
}

function countedText(programmed: number, policies: number): string {
  return `${programmed} of ${policies} ${policies === 1 ? 'policy is' : 'policies are'} programmed`
}

export function waitText(result: WaitResult, timeoutMs: number): string {
  const { policies, missing, isPastKnown } = result
  const unknown = isPastKnown ? [] : ['The API server tells nothing of what was deleted before the call: that was not waited for.']
  if (missing.length === 0) return [`${policies === 1 ? '1 policy is' : `${policies} policies are`} enforced`, ...unknown].join('\n')
  const listed = missing.slice(0, MOST_LINES).map((one) => `  ${textOf(one)}`)
  const more = missing.length > MOST_LINES ? [`  and ${missing.length - MOST_LINES} more`] : []
  return [`After ${timeoutMs / 1000} s ${countedText(result.programmed, policies)}; missing:`, ...listed, ...more, ...unknown].join('\n')
}

function textOf({ namespace, name, reason, message }: Missing): string {
  return name === '' ? message : `${namespace}/${name} (${reason}${message === '' ? '' : `: ${message}`})`
}
