// Why the node's status could not be written, as one problem that says what to do.
//
// **Invariant:** of one cause the text is the same however often it is tried, so that it is logged once; enforcement goes on, and it says so.
import { ApiFailure, type FailureCode } from '../kube/failures.ts'
import type { Problem } from '../lib/problem.ts'

export type WriteResult = 'written' | FailureCode

export function writeResultOf(error: unknown): FailureCode {
  return error instanceof ApiFailure ? error.code : 'Internal'
}

export function notWritten(node: string, result: FailureCode, message: string): Problem {
  return {
    code: 'StatusNotWritten',
    severity: 'warning',
    object: `NodeEnforcement ${node}`,
    message: `${reasonOf(result, message)}; policies are enforced all the same, but nobody sees it in the API; it is tried again`,
  }
}

function reasonOf(result: FailureCode, message: string): string {
  switch (result) {
    case 'UnknownServer':
      return 'the API server does not know NodeEnforcements: apply the CustomResourceDefinitions (kubectl apply --server-side -k crds), or set nodeStatus: false'
    case 'PermissionMissing':
      return `${message}; apply the ClusterRole picket-agent of this version, or set nodeStatus: false`
    // Their words name servers, times and versions that change with each attempt.
    case 'Unreachable':
    case 'Hung':
    case 'Cut':
      return 'no API server has taken it'
    case 'Overloaded':
    case 'ServerError':
      return 'the API server could not take it'
    case 'Conflict':
      return message.includes('owned by') ? message : 'somebody else writes it all the time'
    default:
      return message
  }
}
