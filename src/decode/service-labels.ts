// The labels by which Services and EndpointSlices say whom they are for.
//
// kube-proxy does not even watch objects with one of the first two; the controller of slices copies them from the Service.
// **Invariant:** a label counts as there whatever its value is, an empty one and one that is no text too.
import { type FieldReader, type Mapping, own } from './fields.ts'

/** "indicates that an alternative service proxy will implement this Service"; with any value, since it is never our name. */
const PROXY_NAME = 'service.kubernetes.io/service-proxy-name'
/** Set by the controller on what belongs to a headless Service: nothing is to be translated there. */
const HEADLESS = 'service.kubernetes.io/headless'
/** Of a slice: the name of its Service. */
export const SERVICE_NAME = 'kubernetes.io/service-name'

/** metadata.labels where it is for a service proxy, and for this one; null where it is not, or cannot be read (an error). */
export function readProxiedLabels(reader: FieldReader, metadata: Mapping): Mapping | null {
  const labels = reader.optionalMapping(own(metadata, 'labels'), 'metadata.labels')
  return labels === null || Object.hasOwn(labels, PROXY_NAME) || Object.hasOwn(labels, HEADLESS) ? null : labels
}
