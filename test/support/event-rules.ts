// What a real API server asks of an Event of events.k8s.io/v1: what it would refuse.
//
// test/cluster/events.test.ts shows that a real one takes what passes here. **Invariant:** an empty list is only for what it takes.
export interface KeptEvent {
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly eventTime?: string
  readonly reportingController?: string
  readonly reportingInstance?: string
  readonly action?: string
  readonly reason?: string
  readonly type?: string
  readonly note?: string
  readonly regarding?: { readonly kind: string; readonly namespace?: string; readonly name: string; readonly uid: string; readonly resourceVersion?: string; readonly apiVersion: string }
  readonly series?: { readonly count: number; readonly lastObservedTime: string }
}

const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

export function eventFaults({ metadata, eventTime, reportingController, reportingInstance, action, reason, type, note, regarding, series }: KeptEvent): readonly string[] {
  const faults: string[] = []
  const must = (what: string, isSo: boolean): void => void (isSo || faults.push(what))
  const isShort = (text: string | undefined): boolean => text !== undefined && text !== '' && Buffer.byteLength(text) <= 128
  must('metadata.name', metadata.name.length <= 253 && NAME.test(metadata.name))
  must('metadata.namespace', metadata.namespace === (regarding?.namespace ?? 'default'))
  must('eventTime', MICRO_TIME.test(eventTime ?? ''))
  must('reportingController', /^[a-z0-9.]+\/[a-z0-9-]+$/.test(reportingController ?? ''))
  must('reportingInstance', isShort(reportingInstance))
  must('action', isShort(action))
  must('reason', isShort(reason))
  must('type', type === 'Normal' || type === 'Warning')
  must('note', Buffer.byteLength(note ?? '') <= 1024)
  must('series', series === undefined || (series.count >= 2 && MICRO_TIME.test(series.lastObservedTime)))
  return faults
}
