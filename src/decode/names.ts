// The forms of names, label keys, label values and port names, as the API server's validation has them.
//
// Used by every file of decode/: what passes here may end up in names of the kernel's objects and in logs.
// **Invariant:** lengths are checked before patterns, so that a text of any size costs nothing.

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

export const DNS_LABEL = 'a DNS label (at most 63 lower case letters, digits and inner hyphens)'
export const DNS_SUBDOMAIN = 'a DNS subdomain (at most 253 lower case letters, digits, inner hyphens and dots)'
export const LABEL_KEY = 'a label key ([DNS subdomain/]name, the name at most 63 letters, digits and inner - _ .)'
export const LABEL_VALUE = 'a label value (a string, empty or at most 63 letters, digits and inner - _ .)'
export const PORT_NAME = 'a port name (at most 15 lower case letters, digits and single inner hyphens, one letter at least)'

/** RFC 1123 label: names of namespaces. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && LABEL.test(text)
}

/** RFC 1123 subdomain: names of pods, nodes and policies. The API does not limit its parts to 63 characters. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && text.split('.').every((part) => LABEL.test(part))
}

/** apimachinery IsQualifiedName: `app`, `app.kubernetes.io/name`. */
export function isLabelKey(text: string): boolean {
  if (text.length > 253 + 1 + 63) return false
  const parts = text.split('/')
  const name = parts.at(-1) as string
  if (parts.length > 2 || name.length > 63 || !QUALIFIED.test(name)) return false
  return parts.length === 1 || isDnsSubdomain(parts[0] as string)
}

/** apimachinery IsValidLabelValue; the empty value is one (rule 19). */
export function isLabelValue(text: string): boolean {
  return text === '' || (text.length <= 63 && QUALIFIED.test(text))
}

/** apimachinery IsValidPortName (IANA service name): `80` is none, since it has no letter. */
export function isPortName(text: string): boolean {
  return text.length <= 15 && LABEL.test(text) && /[a-z]/.test(text) && !text.includes('--')
}
