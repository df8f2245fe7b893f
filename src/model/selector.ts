// Which pods a peer of a policy means: pods by label, in one namespace or in namespaces by label.
//
// **Invariant:** equal selectors have equal ids; the id is the canonical text, so it means the same on every node.
import type { LabelSelector } from './labels.ts'

/** Canonical text: `namespace shop, pods app=web`. */
export type SelectorId = string

export interface PodSelector {
  readonly id: SelectorId
  readonly namespaces: NamespaceScope
  readonly pods: LabelSelector
}

export type NamespaceScope =
  | { readonly kind: 'named'; readonly name: string }
  /** Namespaces by label. One without a Namespace object matches nothing, not even `{}`: its labels are not known. */
  | { readonly kind: 'matching'; readonly selector: LabelSelector }

export function podSelector(namespaces: NamespaceScope, pods: LabelSelector): PodSelector {
  const where =
    namespaces.kind === 'named'
      ? `namespace ${namespaces.name}`
      : namespaces.selector.text === ''
        ? 'every namespace'
        : `namespaces ${namespaces.selector.text}`
  const which = pods.text === '' ? 'every pod' : `pods ${pods.text}`
  return Object.freeze({ id: `${where}, ${which}`, namespaces: Object.freeze(namespaces), pods })
}
