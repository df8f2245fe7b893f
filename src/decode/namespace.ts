// A raw Namespace -> Namespace: its name, its labels, and what is to be logged in it.
//
// **Invariant:** the labels hold `kubernetes.io/metadata.name` with the namespace's name, whatever the object says
// (rule 21): the API server sets it, and a manifest has not been there.
import type { Decoded } from '../model/changes.ts'
import type { Namespace, Uid } from '../model/objects.ts'
import { FieldReader } from './fields.ts'
import { readLogWish } from './log-annotations.ts'
import { readCreatedAt, readLabels, readMetadata, readName, titleOf } from './metadata.ts'

export const NAME_LABEL = 'kubernetes.io/metadata.name'

/** `uid` is the namespace's identity, `source` where it came from. Never throws. A bad one has no strict row. */
export function decodeNamespace(raw: unknown, uid: Uid, source?: string): Decoded<Namespace> {
  const reader = new FieldReader(titleOf('Namespace', raw, false), source, 'no selector matches the namespace')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<Namespace>(null)
  const name = readName(reader, opened.metadata, 'label')
  const labels = readLabels(reader, opened.metadata)
  const createdAt = readCreatedAt(reader, opened.metadata)
  const log = readLogWish(reader, opened.metadata)
  if (name === null || labels === null) return reader.decoded<Namespace>(null)
  return reader.decoded<Namespace>(Object.freeze({ uid, name, labels: new Map([...labels, [NAME_LABEL, name]]), createdAt, ...log }))
}
